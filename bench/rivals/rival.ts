/** What the suite asks of a contestant. One file each, all of this shape. */
import { availableParallelism } from 'node:os';
import type { Overrides } from '../../runtime/topology/plan.ts';
import type { Message } from '../lib/message.ts';
import type { Tally } from '../lib/tally.ts';

export interface Setup {
  /** Threads that handle messages. */
  readonly workers: number;
  /** Messages without an answer at once, where a promise is kept for each. */
  readonly inFlight?: number;
  /** Options of keymill's topology. */
  readonly set?: Overrides;
}

export interface Rival {
  /** Sends one message; a promise only where the sender must wait for room. */
  send(message: Message): Promise<void> | undefined;
  /** Resolves when all that was sent is handled, and acknowledged where the contestant does that. */
  drained(): Promise<void>;
  /** Resolves with the handler's reply. */
  ask(message: Message): Promise<number>;
  /** Acknowledgements that came, over all its life; undefined for contestants that give none. */
  acknowledged(): Promise<number> | undefined;
  close(): Promise<void>;
}

export interface RivalModule {
  /** `mode` is the word after the name: `piscina sync`; `tally` counts what its handlers did. */
  open(setup: Setup, mode: string, tally: Tally): Promise<Rival>;
}

export interface Traits {
  /** Messages of one sender to one key are handled in order. */
  readonly ordered: boolean;
  /** The sender learns of each message, or of each call with many, that it was handled. */
  readonly settles: boolean;
  /** A pool that gets one task a message. */
  readonly pool: boolean;
  /**
   * Handles small messages fastest with a thread on every core, the sender's included; others with one less. Measured on
   * two cores: one worker instead of two is twice as fast for postMessage, and half as fast for workerpool.
   */
  readonly allCores: boolean;
}

const RAW: Traits = { ordered: true, settles: false, pool: false, allCores: false };
const POOL: Traits = { ordered: false, settles: true, pool: true, allCores: true };
const KEYMILL: Traits = { ordered: true, settles: true, pool: false, allCores: false };

/** The file of each contestant, and what it gives. Names are those of the tables. */
export const RIVALS = {
  keymill: { file: 'keymill.ts', ...KEYMILL },
  'keymill awaited': { file: 'keymill.ts', ...KEYMILL },
  plain: { file: 'plain.ts', ...RAW },
  postMessage: { file: 'post-message.ts', ...RAW },
  'postMessage arrays': { file: 'post-arrays.ts', ...RAW },
  'piscina sync': { file: 'piscina.ts', ...POOL, allCores: false },
  'piscina async': { file: 'piscina.ts', ...POOL, allCores: false },
  'piscina disabled': { file: 'piscina.ts', ...POOL, allCores: false },
  'piscina arrays': { file: 'piscina.ts', ...POOL, pool: false, allCores: false },
  tinypool: { file: 'tinypool.ts', ...POOL },
  workerpool: { file: 'workerpool.ts', ...POOL },
  poolifier: { file: 'poolifier.ts', ...POOL },
} as const satisfies Record<string, { file: string } & Traits>;

export type RivalName = keyof typeof RIVALS;

/** Threads that handle messages where the cores are shared with a sender that never rests. */
export function threadsFor(name: RivalName): number {
  const cores = availableParallelism();
  return RIVALS[name].allCores ? cores : Math.max(1, cores - 1);
}

export const POOLS = (Object.keys(RIVALS) as RivalName[]).filter(name => RIVALS[name].pool);
/** One of each kind: what a quick run compares with beside its first table. */
export const FEW_POOLS: readonly RivalName[] = ['piscina sync', 'tinypool', 'poolifier'];

/** Path of a worker's module beside the contestant's. */
export function workerFile(name: string): URL {
  return new URL(`workers/${name}`, import.meta.url);
}
