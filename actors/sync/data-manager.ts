/**
 * The distributed data manager: a live copy of a set of rows, kept by the patches that are published for each (Y3, G6.11).
 * Changes of a key come in the order of their versions, each once. A patch that does not begin where the copy stands (one
 * was missed), and a channel that may have lost some, have the row, or all rows, read again from the cache; what differs comes
 * as a change without a patch.
 */
import { compareVersions, type Version } from '../../runtime/index.ts';
import type { Fields, RedisClient } from '../redis/contract.ts';
import type { Encoded } from './message.ts';
import { type PatchItem, patched } from './patches.ts';

/** What is published for a row, on `__dataChanged:SET:KEY` (G2846). */
export interface DataChanged {
  readonly versionId: number;
  readonly epoch: number;
  /** The version that the patch begins at; null where there was no row. */
  readonly base: Version | null;
  readonly patchItems: readonly PatchItem[];
  readonly changeTime: number;
}

/** A change as the manager tells it. */
export interface DataIsChanged {
  readonly key: string;
  readonly version: Version;
  /** The row as it is now; null when it is gone. */
  readonly data: Encoded | null;
  /** Null where the row was read again. */
  readonly patchItems: readonly PatchItem[] | null;
}

interface Held {
  readonly data: Encoded | null;
  readonly version: Version;
}

const AT_ONCE = 500;

export function dataChannel(set: string, key: string): string {
  return `__dataChanged:${set}:${key}`;
}

export class DataManager {
  readonly #redis: RedisClient;
  readonly #set: string;
  readonly #prefix: string;
  readonly #held = new Map<string, Held>();

  /** `prefix` as in `syncRows`. */
  constructor(redis: RedisClient, set: string, prefix = 'sync:') {
    this.#redis = redis;
    this.#set = set;
    this.#prefix = `${prefix}${set}:`;
  }

  /** The row as it was last told; undefined where there is none. */
  get(key: string): Encoded | undefined {
    return this.#held.get(key)?.data ?? undefined;
  }

  versionOf(key: string): Version | undefined {
    return this.#held.get(key)?.version;
  }

  get size(): number {
    let size = 0;
    for (const { data } of this.#held.values()) if (data !== null) size++;
    return size;
  }

  /** All rows first, then what changes, until the loop is left or `signal` aborts. One loop at a time. */
  async *changes(signal?: AbortSignal): AsyncGenerator<DataIsChanged> {
    const channel = dataChannel(this.#set, '');
    // It subscribes first: what changes while the rows are read comes again, and is told apart by its version.
    const heard = this.#redis.subscribe({ pattern: `${escapeGlob(channel)}*` }, { signal })[Symbol.asyncIterator]();
    let next = heard.next();
    try {
      yield* this.#readAll();
      for (;;) {
        const { done, value } = await next;
        if (done) return;
        next = heard.next();
        if ('lost' in value) yield* this.#readAll();
        else yield* this.#take(value.channel.slice(channel.length), JSON.parse(String(value.message)) as DataChanged);
      }
    } finally {
      next.catch(() => undefined);
      await heard.return?.();
    }
  }

  async *#take(key: string, change: DataChanged): AsyncGenerator<DataIsChanged> {
    const held = this.#held.get(key);
    const version = { epoch: change.epoch, n: change.versionId };
    if (held && compareVersions(version, held.version) <= 0) return;
    const stands = held && held.data !== null ? held.version : null;
    const isNext =
      change.base === null ? stands === null : stands !== null && compareVersions(change.base, stands) === 0;
    if (!isNext) return yield* this.#tell(key, await this.#redis.getFields(this.#prefix + key));
    const data = patched(held?.data ?? null, change.patchItems);
    this.#held.set(key, { data, version });
    yield { key, version, data, patchItems: change.patchItems };
  }

  async *#readAll(): AsyncGenerator<DataIsChanged> {
    let keys: string[] = [];
    for await (const key of this.#redis.scan(this.#prefix)) {
      keys.push(key);
      if (keys.length < AT_ONCE) continue;
      yield* this.#readMany(keys);
      keys = [];
    }
    yield* this.#readMany(keys);
  }

  async *#readMany(keys: readonly string[]): AsyncGenerator<DataIsChanged> {
    if (keys.length === 0) return;
    const all = await this.#redis.getManyFields(keys);
    for (const [i, fields] of all.entries()) yield* this.#tell(keys[i]!.slice(this.#prefix.length), fields);
  }

  *#tell(key: string, fields: Fields | null): Generator<DataIsChanged> {
    if (fields === null) return;
    const held = this.#held.get(key);
    const { version } = fields;
    if (held && compareVersions(version, held.version) <= 0) return;
    const data = fields.isGone ? null : rowOf(fields);
    this.#held.set(key, { data, version });
    if (data === null && (held === undefined || held.data === null)) return;
    yield { key, version, data, patchItems: null };
  }
}

/** The columns of a cached row: each field is the JSON of its value. */
export function rowOf({ fields }: Fields): Encoded {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, JSON.parse(String(value)) as unknown]),
  );
}

function escapeGlob(text: string): string {
  return text.replace(/[*?[\]\\]/g, '\\$&');
}
