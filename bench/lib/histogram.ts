/**
 * Latency counts in shared memory: a worker records, the main thread reads. Buckets are logarithmic with 128 steps per
 * power of two, so a value is kept to 0.8 %. Values are nanoseconds, to 2⁴⁰ (18 minutes).
 */
const STEPS = 128;
const STEP_BITS = 7;
const LARGEST = 2 ** 40 - 1;
export const BUCKETS = (40 - STEP_BITS + 1) * STEPS;

/** Counts by bucket, those that are not zero: what crosses processes. */
export type Counts = [bucket: number, count: number][];

export class Histogram {
  readonly #counts: Uint32Array;

  constructor(counts: Uint32Array = new Uint32Array(BUCKETS)) {
    this.#counts = counts;
  }

  static of(...parts: readonly Counts[]): Histogram {
    const histogram = new Histogram();
    for (const part of parts) histogram.add(part);
    return histogram;
  }

  record(ns: number): void {
    this.#counts[bucketOf(ns)]!++;
  }

  add(counts: Counts): void {
    for (const [bucket, count] of counts) this.#counts[bucket]! += count;
  }

  reset(): void {
    this.#counts.fill(0);
  }

  get count(): number {
    let sum = 0;
    for (const count of this.#counts) sum += count;
    return sum;
  }

  /** The value that this share (0 to 1) of all lie at or below, ns; 0 when there are none. */
  quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.count));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank) return middleOf(bucket);
    }
    return 0;
  }

  counts(): Counts {
    const counts: Counts = [];
    this.#counts.forEach((count, bucket) => {
      if (count > 0) counts.push([bucket, count]);
    });
    return counts;
  }
}

/** Below 128 a bucket a value, then 128 buckets from each power of two to the next. */
function bucketOf(ns: number): number {
  if (ns < STEPS) return ns > 0 ? Math.floor(ns) : 0;
  let value = Math.min(ns, LARGEST);
  let shift = 0;
  while (value >= 2 ** 31) {
    value /= 1024;
    shift += 10;
  }
  const bits = 31 - Math.clz32(value);
  return (bits + shift - STEP_BITS) * STEPS + (value >>> (bits - STEP_BITS));
}

function middleOf(bucket: number): number {
  const power = Math.max(0, (bucket >> STEP_BITS) - 1);
  const step = bucket < STEPS ? bucket : (bucket & (STEPS - 1)) + STEPS;
  return power === 0 ? step : (step + 0.5) * 2 ** power;
}
