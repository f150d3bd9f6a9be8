/**
 * Counts of latencies in whole microseconds, in shared memory: the thread that owns a histogram records, and whoever was
 * sent its words reads the same counts, also after that thread died. A record takes 3 ns and allocates nothing; one of
 * node:perf_hooks takes 40, and there are three a batch.
 *
 * The words: how many, their sum, the largest, then a count for each bucket. From each power of two to the next there are 64
 * buckets of equal width, so up to 127 µs each value has its own, and above it a value differs from the middle of its
 * bucket by less than 1/128. Words are doubles, as 32 bits would wrap after an hour of a million a second in one bucket.
 *
 * Every word only grows, by plain stores of its one writer. A reader may see some words of a record and not yet the
 * others; the next reading has them.
 */
const COUNT = 0;
const SUM = 1;
const MAX = 2;
const FIRST_BUCKET = 3;

/** Longest time told apart from longer ones: a day, in µs. */
const LONGEST_MICROS = 86_400_000_000;
const STEP_BITS = 6;
const STEPS = 2 ** STEP_BITS;
/** Bits of exponent and sign in a double, and the exponent that stands for 2⁰. */
const SCALE_BITS = 12;
const SCALE_OF_ONE = 1023;
const double = new DataView(new ArrayBuffer(8));
/** 19 KB; to make them takes 10 µs. */
const WORDS = FIRST_BUCKET + bucketOf(LONGEST_MICROS) + 1;

export class LatencyHistogram {
  /** All there is: what to send to another thread, which makes a histogram of it that shows later records too. */
  readonly words: Float64Array;

  constructor(words: Float64Array = new Float64Array(new SharedArrayBuffer(8 * WORDS))) {
    this.words = words;
  }

  get count(): number {
    return this.words[COUNT]!;
  }

  /** Sum of all recorded values, exact. */
  get sum(): number {
    return this.words[SUM]!;
  }

  /** The largest recorded value, exact; 0 when there is none. */
  get max(): number {
    return this.words[MAX]!;
  }

  /** 0 when nothing is recorded. */
  get mean(): number {
    return this.count === 0 ? 0 : this.sum / this.count;
  }

  /** Takes whole µs; what is shorter than 1 counts as 1, and what is longer than a day as a day. */
  record(micros: number): void {
    const value = micros >= 1 ? Math.min(micros, LONGEST_MICROS) : 1;
    const { words } = this;
    words[FIRST_BUCKET + bucketOf(value)]!++;
    words[SUM]! += value;
    if (value > words[MAX]!) words[MAX] = value;
    // Last, so that a reader rarely looks for a record that is in no bucket yet.
    words[COUNT]!++;
  }

  /** The value in µs that `percent` of all lie at or below, within 1 % and never above the largest; 0 when there is none. */
  percentile(percent: number): number {
    const { words, max } = this;
    const rank = Math.max(1, Math.ceil((percent * this.count) / 100));
    let seen = 0;
    for (let word = FIRST_BUCKET; word < WORDS; word++) {
      seen += words[word]!;
      if (seen >= rank) return Math.min(max, middleOf(word - FIRST_BUCKET));
    }
    return max;
  }

  /** Counts all that the other has recorded. */
  add(other: LatencyHistogram): void {
    const { words } = this;
    const max = Math.max(this.max, other.max);
    for (let word = 0; word < WORDS; word++) words[word]! += other.words[word]!;
    words[MAX] = max;
  }
}

/**
 * The bucket of a value from 1 to a day. A double starts with its power of two and goes on with the bits below the highest,
 * so its first 18 bits, read as a whole number, already count 64 to the power.
 */
function bucketOf(micros: number): number {
  double.setFloat64(0, micros);
  return (double.getUint32(0) >>> (32 - SCALE_BITS - STEP_BITS)) - SCALE_OF_ONE * STEPS;
}

/** In µs; the very value where the bucket holds but one. */
function middleOf(bucket: number): number {
  const width = 2 ** Math.floor(bucket / STEPS) / STEPS;
  return (STEPS + (bucket % STEPS)) * width + Math.max(0, width - 1) / 2;
}
