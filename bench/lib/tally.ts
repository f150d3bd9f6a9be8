/**
 * What handlers did, counted in shared memory, so that completion can be proven without asking the contestant. Each
 * thread has a slot of its own and no other thread writes to it. The main thread reads and resets between samples,
 * when the contestant is at rest. Workers get the memory as environment data, which all kinds of pools hand on.
 */
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { BUCKETS, type Counts, Histogram } from './histogram.ts';

const SLOTS = 16;
const NAME = 'keymill-bench-tally';

/** Words for all threads. */
const WORDS = { slots: 0, timing: 1, work: 2, gate: 3, stop: 4 } as const;
/** Sums of one thread. */
const SUMS = { count: 0, checksum: 1, disorder: 2, batches: 3 } as const;
const SUMS_LENGTH = 8;

interface Memory {
  words: Int32Array<SharedArrayBuffer>;
  sums: Float64Array<SharedArrayBuffer>;
  latencies: Uint32Array<SharedArrayBuffer>;
}

/** What was handled since the last reset. */
export interface Handled {
  count: number;
  checksum: number;
  /** Messages that came after a later one of their key. */
  disorder: number;
  batches: number;
  latencies: Counts;
}

function allocate(): Memory {
  return {
    words: new Int32Array(new SharedArrayBuffer(64)),
    sums: new Float64Array(new SharedArrayBuffer(8 * SUMS_LENGTH * SLOTS)),
    latencies: new Uint32Array(new SharedArrayBuffer(4 * BUCKETS * SLOTS)),
  };
}

/** The main thread's side. Make it before the contestant starts its threads. */
export class Tally {
  readonly #memory = allocate();
  /** Handled before the last reset. */
  #before = 0;

  constructor() {
    setEnvironmentData(NAME, this.#memory as never);
  }

  /** Whether handlers record latencies, and how many rounds of arithmetic they do for each message. */
  configure(options: { timing?: boolean; work?: number }): void {
    const { words } = this.#memory;
    if (options.timing !== undefined) Atomics.store(words, WORDS.timing, options.timing ? 1 : 0);
    if (options.work !== undefined) Atomics.store(words, WORDS.work, options.work);
  }

  /** Ends what waits at the gate, and lets all pass from now on; or closes it. */
  setGate(open: boolean): void {
    Atomics.store(this.#memory.words, WORDS.gate, open ? 1 : 0);
    if (open) Atomics.notify(this.#memory.words, WORDS.gate);
  }

  /** Ends endless sources. */
  stop(): void {
    Atomics.store(this.#memory.words, WORDS.stop, 1);
  }

  /** Messages handled in all runs. */
  get total(): number {
    const { sums } = this.#memory;
    let total = this.#before;
    for (let slot = 0; slot < SLOTS; slot++) total += sums[slot * SUMS_LENGTH + SUMS.count]!;
    return total;
  }

  reset(): void {
    this.#before = this.total;
    this.#memory.sums.fill(0);
    this.#memory.latencies.fill(0);
  }

  read(): Handled {
    const { sums, latencies } = this.#memory;
    const handled: Handled = { count: 0, checksum: 0, disorder: 0, batches: 0, latencies: [] };
    const histogram = new Histogram();
    for (let slot = 0; slot < SLOTS; slot++) {
      const at = slot * SUMS_LENGTH;
      handled.count += sums[at + SUMS.count]!;
      handled.checksum = (handled.checksum + sums[at + SUMS.checksum]!) >>> 0;
      handled.disorder += sums[at + SUMS.disorder]!;
      handled.batches += sums[at + SUMS.batches]!;
      histogram.add(new Histogram(latencies.subarray(slot * BUCKETS, (slot + 1) * BUCKETS)).counts());
    }
    handled.latencies = histogram.counts();
    return handled;
  }
}

/** A thread's side: its slot is taken with the first message it handles. */
export class Slot {
  readonly #memory: Memory;
  readonly #sums: Float64Array;
  readonly latencies: Histogram;

  constructor() {
    this.#memory = (getEnvironmentData(NAME) as unknown as Memory | undefined) ?? allocate();
    const slot = Atomics.add(this.#memory.words, WORDS.slots, 1);
    if (slot >= SLOTS) throw new RangeError(`more than ${SLOTS} threads handled messages`);
    this.#sums = this.#memory.sums.subarray(slot * SUMS_LENGTH, (slot + 1) * SUMS_LENGTH);
    this.latencies = new Histogram(this.#memory.latencies.subarray(slot * BUCKETS, (slot + 1) * BUCKETS));
  }

  add(contribution: number): void {
    const sums = this.#sums;
    sums[SUMS.count]!++;
    sums[SUMS.checksum] = (sums[SUMS.checksum]! + contribution) >>> 0;
  }

  addDisorder(): void {
    this.#sums[SUMS.disorder]!++;
  }

  addBatch(): void {
    this.#sums[SUMS.batches]!++;
  }

  get isTiming(): boolean {
    return this.#memory.words[WORDS.timing] === 1;
  }

  get work(): number {
    return this.#memory.words[WORDS.work]!;
  }

  get isStopped(): boolean {
    return Atomics.load(this.#memory.words, WORDS.stop) === 1;
  }

  /** Waits until the gate opens, but no longer than `ms`; the event loop goes on. */
  async waitAtGate(ms: number): Promise<void> {
    const { words } = this.#memory;
    if (Atomics.load(words, WORDS.gate) === 0) await Atomics.waitAsync(words, WORDS.gate, 0, ms).value;
  }

  /** The same, but the thread stands still. */
  blockAtGate(ms: number): void {
    Atomics.wait(this.#memory.words, WORDS.gate, 0, ms);
  }
}
