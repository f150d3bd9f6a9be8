/**
 * What is asked of every client, in words that travel between processes, and what must stand at the server afterwards. A load
 * has callers; each has keys of its own and asks in lists, the next list when the one before it is answered. The n-th ask of
 * a caller is about its key n % KEYS.
 */
import { now } from '../lib/clock.ts';

/** Keys of a caller. */
export const KEYS = 1000;
/** Of a value. */
const BYTES = 100;
/** Values that are made beforehand. */
const DISTINCT = 1009;

export interface Load {
  readonly what: 'get' | 'set' | 'setVersioned';
  /** In all, a multiple of callers × depth. */
  readonly asks: number;
  /** Lists that are open at once. */
  readonly callers: number;
  /** Asks of a list; one: one by one. */
  readonly depth: number;
}

export interface Run {
  readonly asks: number;
  /** Replies that were what they had to be. */
  readonly right: number;
  readonly ns: number;
  /** CPU of the whole process of the client meanwhile, µs. */
  readonly cpuUs: number;
}

/** A run with what its server says. */
export interface Witnessed extends Run {
  /** How often the server read from its connections. */
  readonly reads: number;
}

export interface Stored {
  readonly key: string;
  readonly value: string;
  /** Null where there is none. */
  readonly version: number | null;
}

/** One list of a caller, from its n-th ask on. Resolves with how many replies were right. */
export type AskList = (load: Load, caller: number, from: number) => Promise<number>;

const VALUES = Array.from({ length: DISTINCT }, (_, n) => `${n}:`.padEnd(BYTES, 'value '));
const NAMES = new Map<number, string[]>();

export function keyOf(caller: number, n: number): string {
  let names = NAMES.get(caller);
  if (!names) NAMES.set(caller, (names = Array.from({ length: KEYS }, (_, i) => `account:${caller}:${i}`)));
  return names[n % KEYS]!;
}

/** Written by the n-th ask. */
export const writtenBy = (caller: number, n: number): string => VALUES[(n + caller) % DISTINCT]!;
/** Found by asks for the i-th key. */
export const seededAt = (caller: number, i: number): string => VALUES[(i + caller) % DISTINCT]!;

export const asksOf = ({ asks, callers }: Load): number => asks / callers;

/** All lists of a caller. Resolves with how many replies were right. */
export async function askAll(askList: AskList, load: Load, caller: number): Promise<number> {
  const asks = asksOf(load);
  let right = 0;
  for (let from = 0; from < asks; from += load.depth) right += await askList(load, caller, from);
  return right;
}

/** What the last writes of a caller leave. */
export function lastOf(load: Load, caller: number): Stored[] {
  const asks = asksOf(load);
  return Array.from({ length: Math.min(KEYS, asks) }, (_, i) => {
    const n = asks - 1 - i;
    const version = load.what === 'setVersioned' ? n + 1 : null;
    return { key: keyOf(caller, n), value: writtenBy(caller, n), version };
  });
}

/** Throws where a reply was wrong or missing. */
export function checkRun({ asks, right }: Run, expected: number): void {
  if (asks !== expected || right !== asks) throw new Error(`${expected} asks were made, ${right} answered right`);
}

/** Throws where something else stands there. */
export function checkStored(expected: readonly Stored[], found: readonly Stored[]): void {
  for (const [i, { key, value, version }] of expected.entries()) {
    const its = found[i]!;
    if (its.value !== value || its.version !== version)
      throw new Error(`at ${key} stands ${its.value.slice(0, 8)} of version ${its.version}, not that of ${version}`);
  }
}

/** Time and CPU of the process from here on. */
export class Watch {
  readonly #cpu = process.cpuUsage();
  readonly #began = now();

  stop(): Pick<Run, 'ns' | 'cpuUs'> {
    const ns = now() - this.#began;
    const { user, system } = process.cpuUsage(this.#cpu);
    return { ns, cpuUs: user + system };
  }
}

export const ASKS_PER_SECOND = { metric: 'asks', unit: 'asks/s', better: 'higher' } as const;
export const CPU_PER_ASK = { metric: 'CPU', unit: 'µs/ask', better: 'lower' } as const;
export const READS_OF_SERVER = { metric: 'reads of the server', unit: 'per 1,000 asks', better: 'lower' } as const;

export const perSecond = ({ asks, ns }: Run): number => asks / (ns / 1e9);
export const cpuPerAsk = ({ asks, cpuUs }: Run): number => cpuUs / asks;
export const readsPerThousand = ({ asks, reads }: Witnessed): number => (reads * 1000) / asks;
