/** What a thread counts of its cache, and what is told of it to the I/O actor, from where it comes to /metrics. */
import type { IoMetric } from '../../runtime/index.ts';

export class Counts {
  l1Hits = 0;
  l2Hits = 0;
  misses = 0;
  /** Values given beyond their life. */
  stale = 0;
  loads = 0;
  loadErrors = 0;
  loadTimeouts = 0;
  /** Loads that were waited for instead of made. */
  shared = 0;
  refreshes = 0;
  /** Entries of L1 that were confirmed or replaced after invalidations may have been lost. */
  revalidated = 0;
  /** Times that they may have been. */
  gaps = 0;
  heard = 0;
  /** Values of the store, and of loads, that an earlier version had: not given, and not stored. */
  refusedOlder = 0;
  /** Stores of loads refused, since another was stored meanwhile or the lease was taken over. */
  refusedStores = 0;
  tooLarge = 0;
  /** Reads and writes that the store did not answer. */
  storeErrors = 0;
  /** Asked of the store, had it not been away. */
  storeSkipped = 0;
  owed = 0;
  paid = 0;
  /** Of what is owed: given up for want of room, or since another write was first. */
  forgiven = 0;
}

export type CountName = keyof Counts;

const ROWS: readonly (readonly [IoMetric['name'], Record<string, string> | undefined, CountName])[] = [
  ['cache_hits_total', { level: 'l1' }, 'l1Hits'],
  ['cache_hits_total', { level: 'l2' }, 'l2Hits'],
  ['cache_misses_total', undefined, 'misses'],
  ['cache_stale_total', undefined, 'stale'],
  ['cache_loads_total', undefined, 'loads'],
  ['cache_load_errors_total', { kind: 'failed' }, 'loadErrors'],
  ['cache_load_errors_total', { kind: 'timeout' }, 'loadTimeouts'],
  ['cache_shared_loads_total', undefined, 'shared'],
  ['cache_refreshes_total', undefined, 'refreshes'],
  ['cache_revalidated_total', undefined, 'revalidated'],
  ['cache_gaps_total', undefined, 'gaps'],
  ['cache_invalidations_total', undefined, 'heard'],
  ['cache_refused_total', { reason: 'older' }, 'refusedOlder'],
  ['cache_refused_total', { reason: 'overtaken' }, 'refusedStores'],
  ['cache_refused_total', { reason: 'large' }, 'tooLarge'],
  ['cache_store_errors_total', { kind: 'failed' }, 'storeErrors'],
  ['cache_store_errors_total', { kind: 'skipped' }, 'storeSkipped'],
  ['cache_owed_total', { kind: 'owed' }, 'owed'],
  ['cache_owed_total', { kind: 'paid' }, 'paid'],
  ['cache_owed_total', { kind: 'forgiven' }, 'forgiven'],
];

/** What a thread says of itself: all its counts, and how it is now. */
export interface Told {
  readonly counts: Readonly<Record<CountName, number>>;
  readonly entries: number;
  readonly bytes: number;
  readonly isDegraded: boolean;
}

/** The sums over threads, on the I/O thread. A thread that was replaced begins anew under another name, and its counts stay. */
export class Sums {
  readonly #threads = new Map<string, Told>();
  readonly #past = new Counts();

  told(by: string, told: Told): void {
    this.#threads.delete(by);
    this.#threads.set(by, told);
    if (this.#threads.size <= MOST_THREADS) return;
    const [oldest, its] = this.#threads.entries().next().value!;
    this.#threads.delete(oldest);
    for (const name of NAMES) this.#past[name] += its.counts[name];
  }

  metrics(): readonly IoMetric[] {
    const all = [...this.#threads.values()];
    const sum = (of: (told: Told) => number): number => all.reduce((total, told) => total + of(told), 0);
    return [
      ...ROWS.map(([name, labels, count]): IoMetric => {
        const value = this.#past[count] + sum(({ counts }) => counts[count]);
        return labels === undefined ? { name, value } : { name, labels, value };
      }),
      { name: 'cache_l1_entries', value: sum(told => told.entries) },
      { name: 'cache_l1_bytes', value: sum(told => told.bytes) },
      { name: 'cache_degraded_threads', value: sum(told => Number(told.isDegraded)) },
    ];
  }
}

const MOST_THREADS = 256;
const NAMES = Object.keys(new Counts()) as CountName[];
