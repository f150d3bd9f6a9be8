/** Which version of a set is current: read from the store at least every half graceMs, and known in the thread meanwhile. */
import type { IoThread, Version } from '../../runtime/index.ts';
import type { Names } from './names.ts';
import type { CacheOptions } from './options.ts';
import { isAwayError, type Store } from './store.ts';

export interface SetVersion {
  readonly id: string;
  readonly count: number;
  /** Of the keys, by which it is cleared. */
  readonly pages: number;
}

/** As it stands in the store, in JSON. */
export interface Pointer {
  readonly current: SetVersion;
  readonly former: SetVersion | null;
  readonly lifeMs: number;
}

export interface PointerRead extends Pointer {
  readonly version: Version;
}

interface Known {
  readonly pointer: PointerRead | null;
  readonly until: number;
}

export interface PointersNeeds {
  readonly thread: IoThread;
  readonly options: CacheOptions;
  readonly names: Names;
  readonly store: Store;
}

export class Pointers {
  readonly #needs: PointersNeeds;
  readonly #known = new Map<string, Known>();
  readonly #reading = new Map<string, Promise<PointerRead | null>>();

  constructor(needs: PointersNeeds) {
    this.#needs = needs;
  }

  /** It was turned. */
  heard(set: string): void {
    const known = this.#known.get(set);
    if (known) this.#known.set(set, { ...known, until: Number.NEGATIVE_INFINITY });
    this.#reading.delete(set);
  }

  /** As this thread knows it, or undefined where it must look. */
  knownNow(set: string): PointerRead | null | undefined {
    const known = this.#known.get(set);
    return known !== undefined && this.#needs.thread.environment.clock.now() < known.until ? known.pointer : undefined;
  }

  /** While the store is away: the last that was known, which is no older than what L1 has of it. */
  async current(set: string): Promise<PointerRead | null> {
    const now = this.knownNow(set);
    if (now !== undefined) return now;
    try {
      return await this.read(set);
    } catch (error) {
      const last = this.#known.get(set)?.pointer;
      if (!isAwayError(error) || !last) throw error;
      return last;
    }
  }

  read(set: string): Promise<PointerRead | null> {
    const before = this.#reading.get(set);
    if (before) return before;
    const reading = this.#read(set);
    this.#reading.set(set, reading);
    const end = (): void => {
      if (this.#reading.get(set) === reading) this.#reading.delete(set);
    };
    reading.then(end, end);
    return reading;
  }

  async #read(set: string): Promise<PointerRead | null> {
    const { thread, store, names, options } = this.#needs;
    const askedAt = thread.environment.clock.now();
    const found = await store.ask(redis => redis.getVersioned(names.pointer(set)));
    const pointer = found && { ...(JSON.parse(String(found.value)) as Pointer), version: found.version };
    this.#known.set(set, { pointer, until: askedAt + options.graceMs / 2 });
    return pointer;
  }
}
