/**
 * The keys of an embedded store. Every change can be taken back, up to a mark: an ask that fails leaves nothing, and a batch
 * whose file could not be written neither. Nothing is evicted: a write that needs room that is not there is refused.
 */
import { KeymillError } from '../../../runtime/index.ts';
import { current, type Entry, type Slot } from './entries.ts';

export class Keyspace {
  readonly #name: string;
  readonly #maxBytes: number;
  /** Undefined: removed in this batch. It keeps its place until the batch stands, for scans and for taking it back. */
  readonly #entries = new Map<string, Entry | undefined>();
  #bytes = 0;
  /** How to take back what was changed, last first. */
  readonly #undo: (() => void)[] = [];
  /** Keys that were changed since `settle`; some may be what they were. */
  readonly #touched = new Set<string>();
  #sweeping: MapIterator<[string, Entry | undefined]> | null = null;

  /** `name`: the I/O actor's, for errors. */
  constructor(name: string, maxBytes: number) {
    this.#name = name;
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** By weight, which is about what they take in memory and rather more. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: string, now: number): Entry | undefined {
    return current(key, this.#entries.get(key), now);
  }

  /** In the order of the keys' making; goes on over changes, as iterators of a Map do. */
  *all(): Generator<[string, Entry], void, void> {
    for (const [key, entry] of this.#entries) if (entry) yield [key, entry];
  }

  /** Throws OUTPUT_FULL. */
  put(key: string, entry: Entry): void {
    const before = this.#entries.get(key);
    const growth = entry.weight - (before?.weight ?? 0);
    if (growth > 0 && this.#bytes + growth > this.#maxBytes)
      throw new KeymillError(
        'OUTPUT_FULL',
        `io.${this.#name} holds ${this.#bytes} bytes, maxMemoryBytes is ${this.#maxBytes}: no room for ${growth} more for ${JSON.stringify(key.slice(0, 80))}; nothing is evicted`,
      );
    this.#change(key, before, entry);
  }

  remove(key: string): void {
    const before = this.#entries.get(key);
    if (before) this.#change(key, before, undefined);
  }

  /** Of an entry whose weight says so already. */
  setSlot(slots: Map<string, Slot>, name: string, slot: Slot | null): void {
    const before = slots.get(name);
    if (slot) slots.set(name, slot);
    else slots.delete(name);
    this.#undo.push(() => {
      if (before) slots.set(name, before);
      else slots.delete(name);
    });
  }

  /** Puts in what a file held: not a change, and not refused. */
  load(key: string, entry: Entry): void {
    this.#set(key, this.#entries.get(key), entry);
  }

  // ── changes ────────────────────────────────────────────────────────────────────────────────────────────────────────

  mark(): number {
    return this.#undo.length;
  }

  /** Takes back what was changed since the mark. */
  rollback(mark: number): void {
    while (this.#undo.length > mark) this.#undo.pop()!();
    if (mark === 0) this.settle();
  }

  /** What was changed since `settle`, as it is now. */
  *changes(): Generator<[string, Entry | undefined], void, void> {
    for (const key of this.#touched) yield [key, this.#entries.get(key)];
  }

  get isChanged(): boolean {
    return this.#touched.size > 0;
  }

  /** What was changed stands. */
  settle(): void {
    this.#undo.length = 0;
    for (const key of this.#touched) if (this.#entries.get(key) === undefined) this.#entries.delete(key);
    this.#touched.clear();
  }

  // ── expiry ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Looks at `most` entries, going round all of them in turn, and lets go of what has expired. Reads need none of this:
   * to them what has expired is gone.
   */
  sweep(now: number, most: number): void {
    for (let looked = 0; looked < most; looked++) {
      this.#sweeping ??= this.#entries.entries();
      const { done, value } = this.#sweeping.next();
      if (done) {
        this.#sweeping = null;
        return;
      }
      const [key, entry] = value;
      const left = current(key, entry, now);
      if (entry && left !== entry) this.#change(key, entry, left);
    }
  }

  #change(key: string, before: Entry | undefined, after: Entry | undefined): void {
    this.#set(key, before, after);
    this.#undo.push(() => this.#set(key, after, before));
    this.#touched.add(key);
  }

  #set(key: string, before: Entry | undefined, after: Entry | undefined): void {
    this.#entries.set(key, after);
    this.#bytes += (after?.weight ?? 0) - (before?.weight ?? 0);
  }
}
