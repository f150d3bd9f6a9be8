/** What a thread knows of a key. Times are milliseconds of its clock (`clock.now()`), Infinity for never. */
import type { Version } from '../../runtime/index.ts';
import { type TagMark, unpackBody } from './codec.ts';

export const UNREAD: unique symbol = Symbol('not unpacked yet');

export interface HeldNeeds {
  /** Null: no value is known, only that versions below `version` are past. */
  readonly body: Uint8Array | null;
  readonly version: Version | null;
  /** What is below this version is past, where the value itself has none. */
  readonly floor?: Version | null;
  readonly isNegative: boolean;
  readonly tags: readonly TagMark[] | null;
  readonly lifeMs: number;
  readonly staleMs: number;
  /** Until then it is given as it is. */
  readonly freshUntil: number;
  /** End of its life, by what the store said. */
  readonly endsAt: number;
  readonly refreshAt: number;
  readonly generation: number;
}

/** About what one takes beside its value: the object, its place in the map, the key's own head. */
const HELD_BYTES = 250;

export class Held {
  /** What reads look at first stands together: the value once it was unpacked, and until when nothing else matters. */
  unpacked: unknown = UNREAD;
  /** As `freshUntil`, for values that are neither "there is none" nor tagged nor stale; else 0. */
  quickUntil = 0;
  #freshUntil = 0;
  refreshAt: number;
  /** Of the invalidations that it has come through: one of an earlier generation is suspect. */
  generation: number;
  /** It is given beyond its life; kept for `retryMs` where a loader failed. */
  #isStale = false;
  readonly body: Uint8Array | null;
  readonly version: Version | null;
  readonly floor: Version | null;
  readonly isNegative: boolean;
  readonly tags: readonly TagMark[] | null;
  readonly lifeMs: number;
  readonly staleMs: number;
  readonly endsAt: number;

  constructor({
    body,
    version,
    floor,
    isNegative,
    tags,
    lifeMs,
    staleMs,
    freshUntil,
    endsAt,
    refreshAt,
    generation,
  }: HeldNeeds) {
    this.body = body;
    this.version = version;
    this.floor = version ?? floor ?? null;
    this.isNegative = isNegative;
    this.tags = tags;
    this.lifeMs = lifeMs;
    this.staleMs = staleMs;
    this.endsAt = endsAt;
    this.refreshAt = refreshAt;
    this.generation = generation;
    this.freshTill(freshUntil);
  }

  /** Unpacked when it is first asked for: so it is a copy, which who stored it cannot change. */
  get value(): unknown {
    if (this.unpacked === UNREAD) this.unpacked = this.body === null ? undefined : unpackBody(this.body);
    return this.unpacked;
  }

  /** Until then it is given as it is. */
  get freshUntil(): number {
    return this.#freshUntil;
  }

  get isStale(): boolean {
    return this.#isStale;
  }

  freshTill(ms: number, isStale = false): void {
    this.#freshUntil = ms;
    this.#isStale = isStale;
    this.quickUntil = isStale || this.isNegative || this.tags !== null || this.body === null ? 0 : Math.floor(ms);
  }

  /** Only a version, and until when it holds. */
  static mark(version: Version | null, freshUntil: number, generation: number): Held {
    return new Held({
      body: null,
      version,
      isNegative: false,
      tags: null,
      lifeMs: 0,
      staleMs: 0,
      freshUntil,
      endsAt: 0,
      refreshAt: Number.POSITIVE_INFINITY,
      generation,
    });
  }

  get staleUntil(): number {
    return this.endsAt + this.staleMs;
  }

  bytes(key: string): number {
    return HELD_BYTES + 2 * key.length + (this.body?.length ?? 0);
  }
}
