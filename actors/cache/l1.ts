/**
 * L1: what this thread holds, bounded by bytes, the least recently used going first. What has had its time stays until then:
 * it may be confirmed by its version, or be given as stale. Versions never go back here (R10): an older one is refused.
 */
import { LRUCache } from 'lru-cache';
import { compareVersions, type Version } from '../../runtime/index.ts';
import type { Counts } from './counts.ts';
import { Held } from './held.ts';
import type { CacheOptions } from './options.ts';

export class L1 {
  /** For the main path, which looks here and nowhere else. */
  readonly entries: LRUCache<string, Held>;
  readonly #most: number;
  readonly #counts: Counts;
  /** Of the invalidations: raised when some may have been lost. */
  #generation = 0;

  constructor({ l1 }: CacheOptions, counts: Counts) {
    this.#most = Math.min(l1.maxEntryBytes, l1.maxBytes);
    this.#counts = counts;
    this.entries = new LRUCache({ maxSize: l1.maxBytes, sizeCalculation: (held, key) => held.bytes(key) });
  }

  get size(): number {
    return this.entries.size;
  }

  get bytes(): number {
    return this.entries.calculatedSize;
  }

  get generation(): number {
    return this.#generation;
  }

  /** All that is held must be confirmed before it is given again. */
  suspect(): void {
    this.#generation++;
    for (const held of this.entries.values()) held.quickUntil = 0;
  }

  get(key: string): Held | undefined {
    return this.entries.get(key);
  }

  /** Not a use: its place in the order stays. */
  look(key: string): Held | undefined {
    return this.entries.peek(key);
  }

  /** False where a newer version is known here. One too large is not kept, and what stood there goes: it is older. */
  put(key: string, held: Held): boolean {
    const before = this.entries.peek(key);
    if (before !== undefined && isOlder(held.version, before.floor)) {
      this.#counts.refusedOlder++;
      return false;
    }
    if (held.generation !== this.#generation) held.quickUntil = 0; // read before a gap, and come after it
    if (held.bytes(key) <= this.#most) this.entries.set(key, held);
    else {
      this.#counts.tooLarge++;
      this.entries.delete(key);
    }
    return true;
  }

  /**
   * A change is heard of. What is older must be confirmed before it is given again, and goes with `isRemoved`; its version is
   * known from now on. True where anything was held of an earlier version.
   */
  heard(key: string, version: Version | null, isRemoved: boolean): boolean {
    const held = this.entries.peek(key);
    if (held === undefined) return false;
    if (version !== null && held.version !== null && compareVersions(held.version, version) >= 0) return false;
    if (!isRemoved) {
      held.freshTill(0);
      held.refreshAt = Number.POSITIVE_INFINITY;
      return true;
    }
    this.entries.set(key, Held.mark(version ?? held.floor, 0, this.generation));
    return true;
  }

  remove(key: string): void {
    this.entries.delete(key);
  }

  /** Entries that are to be confirmed before they are given again. */
  suspects(): number {
    let count = 0;
    for (const held of this.entries.values()) if (held.generation !== this.generation && held.body !== null) count++;
    return count;
  }
}

/** A value that no store has seen has no version, and stands behind none. */
function isOlder(version: Version | null, floor: Version | null): boolean {
  return version !== null && floor !== null && compareVersions(version, floor) < 0;
}
