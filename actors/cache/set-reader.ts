/**
 * Reading sets. Entries of a version never change, so L1 keeps them without ever asking whether they are right still; only which
 * version is current is asked for.
 */
import { KeymillError, type Version } from '../../runtime/index.ts';
import { unpackBody } from './codec.ts';
import type { SetReader, SetView } from './contract.ts';
import { Held } from './held.ts';
import type { L1 } from './l1.ts';
import { checkKey } from './names.ts';
import type { PointerRead, Pointers, PointersNeeds, SetVersion } from './pointers.ts';

interface ReaderNeeds extends PointersNeeds {
  readonly l1: L1;
}

export class Reader implements SetReader {
  readonly #set: string;
  readonly #needs: ReaderNeeds;
  readonly #pointers: Pointers;

  constructor(set: string, needs: ReaderNeeds, pointers: Pointers) {
    this.#set = set;
    this.#needs = needs;
    this.#pointers = pointers;
  }

  async view(): Promise<SetView | null> {
    const pointer = await this.#pointers.current(this.#set);
    return pointer && this.#viewOf(pointer);
  }

  async get(key: string): Promise<unknown> {
    return (await this.getMany([key]))[0];
  }

  async getMany(keys: readonly string[]): Promise<unknown[]> {
    for (const key of keys) checkKey(key);
    for (let attempt = 1; ; attempt++) {
      const pointer = await this.#pointers.current(this.#set);
      if (pointer === null) return keys.map(() => undefined);
      try {
        return await this.#viewOf(pointer).getMany(keys);
      } catch (error) {
        // It was cleared between the look at the pointer and the reading: the next look gives another.
        if (attempt >= 3 || (error as { code?: unknown }).code !== 'CACHE_SET_GONE') throw error;
        this.#pointers.heard(this.#set);
      }
    }
  }

  #viewOf({ current, version }: PointerRead): View {
    return new View(this.#set, current, version, this.#needs, this.#pointers);
  }
}

class View implements SetView {
  readonly version: Version;
  readonly #set: string;
  readonly #its: SetVersion;
  readonly #needs: ReaderNeeds;
  readonly #pointers: Pointers;

  constructor(set: string, its: SetVersion, version: Version, needs: ReaderNeeds, pointers: Pointers) {
    this.#set = set;
    this.#its = its;
    this.version = version;
    this.#needs = needs;
    this.#pointers = pointers;
  }

  get count(): number {
    return this.#its.count;
  }

  async get(key: string): Promise<unknown> {
    return (await this.getMany([key]))[0];
  }

  async getMany(keys: readonly string[]): Promise<unknown[]> {
    const { l1, names, store } = this.#needs;
    const { id } = this.#its;
    const found: unknown[] = new Array(keys.length);
    const missing: number[] = [];
    for (const [i, key] of keys.entries()) {
      checkKey(key);
      const held = l1.get(this.#inL1(key));
      if (held) found[i] = held.value;
      else missing.push(i);
    }
    if (missing.length === 0) return found;
    const members = missing.map(i => names.member(this.#set, id, keys[i]!));
    const values = await store.ask(redis => redis.getMany(members));
    if (values.includes(null)) await this.#mustStand();
    for (const [at, i] of missing.entries()) {
      const value = values[at]!;
      if (value === null) continue;
      const body = value as Uint8Array;
      const key = keys[i]!;
      l1.put(this.#inL1(key), memberOf(body));
      found[i] = unpackBody(body);
    }
    return found;
  }

  #inL1(key: string): string {
    return `\0s${this.#its.id}\0${this.#set}\0${key}`;
  }

  /** What is missing was never there, if this version stands still. Throws CACHE_SET_GONE. */
  async #mustStand(): Promise<void> {
    const pointer = await this.#pointers.read(this.#set);
    const { id } = this.#its;
    if (pointer?.current.id === id || pointer?.former?.id === id) return;
    throw new KeymillError('CACHE_SET_GONE', `${this.#set}: version ${this.version.n} was swapped out and cleared`, {
      class: 'transient',
    });
  }
}

function memberOf(body: Uint8Array): Held {
  const always = Number.POSITIVE_INFINITY;
  return new Held({
    body,
    version: null,
    isNegative: false,
    tags: null,
    lifeMs: always,
    staleMs: 0,
    freshUntil: always,
    endsAt: always,
    refreshAt: always,
    generation: 0,
  });
}
