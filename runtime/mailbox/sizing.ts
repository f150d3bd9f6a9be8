/**
 * How much of a mailbox one batch takes. The default is the seed's rule (G9.2) as READINGS decides it: below a depth of
 * 1000 up to 800, from there floor(drainRatio × depth); `max` bounds it. `fixed` and `doubling` (as gen_batch_server
 * does: double when full, halve when dry, 32 to 8192) are there to be compared with.
 */
import type { BatchTrigger } from '../topology/define.ts';

export const SHALLOW_DEPTH = 1000;
export const SHALLOW_BATCH = 800;

export interface Sizing {
  /** Messages that a batch may take at this depth; `last` is the size of the key's batch before. */
  take(depth: number, last: number): number;
  /** Depth from which a batch need not wait for the flush time. */
  enough(last: number): number;
  readonly trigger: (depth: number) => BatchTrigger;
}

export interface SizingOptions {
  strategy: 'eightyPercent' | 'fixed' | 'doubling';
  drainRatio: number;
  max: number;
}

export function createSizing({ strategy, drainRatio, max }: SizingOptions): Sizing {
  switch (strategy) {
    case 'eightyPercent':
      return {
        take: depth => Math.min(max, depth, depth < SHALLOW_DEPTH ? SHALLOW_BATCH : Math.floor(drainRatio * depth)),
        enough: () => Math.min(max, SHALLOW_BATCH),
        trigger: depth => (depth < SHALLOW_DEPTH ? 'size' : 'depth'),
      };
    case 'fixed':
      return { take: depth => Math.min(max, depth), enough: () => max, trigger: () => 'size' };
    case 'doubling':
      return {
        take: (depth, last) => Math.min(max, depth, next(depth, last)),
        enough: last => Math.min(max, Math.max(32, last)),
        trigger: () => 'size',
      };
  }
}

function next(depth: number, last: number): number {
  const current = Math.max(32, last);
  return depth >= current ? Math.min(8192, current * 2) : Math.max(32, current >> 1);
}
