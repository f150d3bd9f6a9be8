/** Contestants that the driver drives, as the cases name them. */
import { Child } from '../lib/child.ts';
import type { Contestant } from '../lib/contest.ts';
import { type RivalName, threadsFor } from '../rivals/rival.ts';
import type { DriverSetup } from './driver.ts';
import type { Run } from './proof.ts';

const DRIVER = new URL('driver.ts', import.meta.url);

/** The sizes of the rest of the suite: small messages, ten thousand keys. */
export const SMALL = { keys: 10_000, bytes: 0 } as const;

/**
 * Milliseconds to warm up and to run. Those with a window run longer than the pools, which have no more than their
 * promises in flight, so that the window fills; and keymill has the most code to be compiled.
 */
export function lengthOf(rival: RivalName): { warmMs: number; runMs: number } {
  if (rival.startsWith('keymill')) return { warmMs: 900, runMs: 450 };
  return rival.startsWith('postMessage') ? { warmMs: 300, runMs: 450 } : { warmMs: 250, runMs: 200 };
}

export function driven(
  rival: RivalName,
  setup: Partial<DriverSetup> = {},
  { name = rival }: { name?: string } = {},
): Contestant {
  return {
    name,
    open: () => Child.open(DRIVER, { rival, workers: threadsFor(rival), ...SMALL, ...setup } satisfies DriverSetup),
    warm: child => child.call('tells', { ms: lengthOf(rival).warmMs }),
  };
}

export const MESSAGES_PER_SECOND = { metric: 'settled', unit: 'messages/s', better: 'higher' } as const;
export const CPU_PER_MESSAGE = { metric: 'CPU', unit: 'µs/message', better: 'lower' } as const;

export const perSecond = ({ messages, ns }: Run): number => messages / (ns / 1e9);
export const cpuPerMessage = ({ messages, cpuUs }: Run): number => cpuUs / messages;
