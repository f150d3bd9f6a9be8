/** Asks that go to a server as one call of the script (lua/batch.lua), and what became of it. */
import type { DataOp } from '../ops.ts';
import type { Packed } from './marks.ts';

/** A server must not be held up for long: so many asks and bytes at most, unless one ask alone is more. */
const MOST_ASKS = 256;
const MOST_BYTES = 1024 * 1024;
export const MOST_KEYS = 4000;

/** What the script answers. Numbers of failures are places among the asks, from 1. */
export type BatchReply = readonly [replies: readonly unknown[], failures: readonly (number | Buffer)[]];

/** Where an ask, or a part of its keys, went. */
export interface Place {
  readonly batch: Batch;
  readonly ask: number;
  /** Its keys among those of the ask in the script: reads of several callers are one there. */
  readonly from: number;
  readonly count: number;
  /** Which of its own keys they are; null for all. */
  readonly indexes: readonly number[] | null;
}

export class Batch {
  readonly slot: number;
  readonly keys: string[] = [];
  readonly args: Packed[] = [];
  asks = 0;
  /** About. */
  bytes = 0;
  writes = false;
  /** It does not only get values: then its version keys go with the keys. */
  needsVersions = false;
  /** It makes versions or tokens. */
  needsEpoch = false;
  /** The ask that more of its kind may join, as `letter life`, and where its count stands in `args`. */
  open = '';
  openAt = 0;

  /** Of those of its slot that write; 0 before it was sent, and for one that reads. */
  number = 0;
  /** When it was sent on the connection of now; NaN when it was not. */
  sentAt = Number.NaN;
  /** When somebody waited for it last. */
  wantedAt = 0;
  waiting = 0;
  outcome: { readonly reply: BatchReply } | { readonly error: unknown } | null = null;
  readonly #settled = Promise.withResolvers<void>();
  #failures: Map<number, string> | null = null;

  constructor(slot: number) {
    this.slot = slot;
  }

  get isFull(): boolean {
    return this.asks >= MOST_ASKS || this.keys.length >= MOST_ASKS || this.bytes >= MOST_BYTES;
  }

  /** Resolves when there is an outcome. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  answer(reply: BatchReply): void {
    if (this.outcome !== null) return;
    this.outcome = { reply };
    this.#settled.resolve();
  }

  fail(error: unknown): void {
    if (this.outcome !== null) return;
    this.outcome = { error };
    this.#settled.resolve();
  }

  /** Why this ask failed, in the script's words; undefined where it did not. */
  failure(ask: number): string | undefined {
    const [, failures] = (this.outcome as { reply: BatchReply }).reply;
    if (failures.length === 0) return undefined;
    if (this.#failures === null) {
      this.#failures = new Map();
      for (let i = 0; i < failures.length; i += 2)
        this.#failures.set((failures[i] as number) - 1, (failures[i + 1] as Buffer).toString());
    }
    return this.#failures.get(ask);
  }
}

/** Asks whose time ran out before there was an answer: asked again, they wait for the same one. */
export type Late = WeakMap<DataOp, readonly Place[]>;
