/**
 * Tags, by counters and never by clocks: a tag has a version in the store, a value is stored with the versions that its tags
 * had, and counts as expired once one of them has risen. A thread remembers the versions as it does values.
 */
import { compareVersions, type IoThread, type Version } from '../../runtime/index.ts';
import type { TagMark } from './codec.ts';
import { Held } from './held.ts';
import type { L1 } from './l1.ts';
import type { Names } from './names.ts';
import type { CacheOptions } from './options.ts';
import { isAwayError, type Store } from './store.ts';

/** Before the tag, in L1: no key holds a control character. */
const MARK = '\0t';

export function tagKey(tag: string): string {
  return MARK + tag;
}

export class Tags {
  readonly #thread: IoThread;
  readonly #store: Store;
  readonly #names: Names;
  readonly #l1: L1;
  readonly #ttlMs: number;
  /** Tags heard of: what was asked before does not count as known after. */
  #heard = 0;

  constructor(thread: IoThread, store: Store, names: Names, l1: L1, options: CacheOptions) {
    this.#thread = thread;
    this.#store = store;
    this.#names = names;
    this.#l1 = l1;
    this.#ttlMs = options.l1.ttlMs;
  }

  /** As they are now. Rejects as the store does. */
  marks(tags: readonly string[]): Promise<TagMark[]> {
    return Promise.all([...new Set(tags)].map(async tag => ({ tag, version: await this.#version(tag) })));
  }

  /** Undefined where a version must be asked for first. */
  areValidNow(marks: readonly TagMark[], now: number): boolean | undefined {
    for (const mark of marks) {
      const held = this.#l1.get(tagKey(mark.tag));
      if (held === undefined || held.freshUntil <= now || held.generation !== this.#l1.generation) return undefined;
      if (hasRisen(held.version, mark)) return false;
    }
    return true;
  }

  /** Where the store is away, by the versions that are known. */
  async areValid(marks: readonly TagMark[]): Promise<boolean> {
    const versions = await Promise.all(
      marks.map(({ tag }) =>
        this.#version(tag).catch((error: unknown) => {
          if (!isAwayError(error)) throw error;
          return this.#l1.look(tagKey(tag))?.version ?? null;
        }),
      ),
    );
    return !marks.some((mark, i) => hasRisen(versions[i]!, mark));
  }

  /** It was invalidated somewhere. */
  heard(tag: string, version: Version | null): void {
    this.#heard++;
    this.#l1.heard(tagKey(tag), version, false);
  }

  learn(tag: string, version: Version | null, askedAt: number, generation = this.#l1.generation): void {
    this.#l1.put(tagKey(tag), Held.mark(version, askedAt + this.#ttlMs, generation));
  }

  async #version(tag: string): Promise<Version | null> {
    const { clock } = this.#thread.environment;
    const held = this.#l1.get(tagKey(tag));
    const { generation } = this.#l1;
    if (held !== undefined && held.freshUntil > clock.now() && held.generation === generation) return held.version;
    const askedAt = clock.now();
    const heard = this.#heard;
    const { version } = await this.#store.read(this.#names.tag(tag), null);
    this.learn(tag, version, heard === this.#heard ? askedAt : Number.NEGATIVE_INFINITY, generation);
    return version;
  }
}

/** No counter was never raised: below any version. */
function hasRisen(version: Version | null, mark: TagMark): boolean {
  return version !== null && (mark.version === null || compareVersions(version, mark.version) > 0);
}
