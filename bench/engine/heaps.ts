/** Memory of a process after collections, for the cases that ask for it. */
import { getHeapStatistics } from 'node:v8';
import { sleep } from '../lib/clock.ts';
import type { BenchRuntime } from '../rivals/keymill.ts';

export interface Memory {
  /** Of the whole process. */
  rss: number;
  /** JavaScript of all threads that could be asked, and buffers of the main thread. */
  heap: number;
}

/** After collections in the main thread, and in the others by `workers`, which returns the sum of their heaps. */
export async function memory(workers: () => Promise<number>): Promise<Memory> {
  for (let i = 0; i < 2; i++) {
    globalThis.gc?.();
    await workers();
    await sleep(20);
  }
  const heap = getHeapStatistics().used_heap_size + process.memoryUsage().arrayBuffers + (await workers());
  return { rss: process.memoryUsage.rss(), heap };
}

/** Enough keys to come to every host. */
const PROBES = 64;

/** Sum of the heaps of all hosts, each after a collection. */
export async function hostHeaps(runtime: BenchRuntime): Promise<number> {
  const keys = new Map<number, number>();
  for (let n = 0; n < PROBES; n++) keys.set((await runtime.ask('probe', { n, collect: false })).host, n);
  let sum = 0;
  for (const n of keys.values()) sum += (await runtime.ask('probe', { n, collect: true })).bytes;
  return sum;
}
