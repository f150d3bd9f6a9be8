/**
 * Durable state per key (E12, rules 2 and 3): the state of a key and the ids of what it has counted are one value of a
 * versioned store. It is read before the first message of the key, and written when a batch of it succeeded and all its
 * children settled; only then does the batch settle, and the next one of the key begin. So a message that comes again after a
 * crash, a move or a redelivery finds its id there, and is settled without being handled.
 *
 * - What was counted is kept by source. Of a source that is ordered and feeds the actor directly, one position says it all:
 *   its messages to a key come in their order. Of everything else the ids are kept, above the position below which all of
 *   that source is settled, or the last KEPT_IDS of what has no such position.
 * - A handler that failed leaves the state as its predecessor did: it is unpacked anew from what was packed after that.
 * - A batch whose sender died before it was written is void: the sender sends it again, with its children. What others sent
 *   in it is handled again.
 */
import type { Environment } from '../environment.ts';
import { classOf, KeymillError, toWire } from '../errors.ts';
import type { StateStore } from '../io/contract.ts';
import { TIMER } from '../lanes/envelope.ts';
import { packValue, unpackValue } from '../lanes/value.ts';
import type { Item } from '../mailbox/item.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { Key, Log, Position } from '../topology/define.ts';
import type { Cell } from './cell.ts';

const FORMAT = 1;
/** As many of a key may be unsettled at once, an eighth of the default window; so an older one is not sent again. */
const KEPT_IDS = 10_240;
const RETRY_MS = 200;
const LONGEST_RETRY_MS = 5000;

/** What one source gave that was counted. */
interface Counted {
  epoch: number;
  /** All up to this position; -1 for none. */
  upTo: Position;
  /** Beyond it, in the order they were counted: `position` or `position.path`, with the reply to an ask. */
  ids: Map<string, unknown>;
}

/** Of one key. */
class Kept {
  rev = 0;
  counted = new Map<string, Counted>();
  /** The state after the last handler that succeeded, packed; null while there is none. */
  state: Uint8Array | null = null;
  /** The whole value as the store has it; null for none. */
  stored: Uint8Array | null = null;
}

type Stored = [
  format: number,
  stateVersion: number,
  state: Uint8Array | null,
  counted: [source: string, epoch: number, upTo: Position, ids: [id: string, reply?: unknown][]][],
];

export interface DurableNeeds {
  readonly environment: Environment;
  readonly log: Log;
  readonly store: StateStore;
  /** The position of a source below which nothing comes again; undefined where that is not known. */
  lowOf(source: string): Position | undefined;
  /** It gives its messages to a key in the order of their positions, which name the same messages for ever. */
  isOrdered(source: string): boolean;
}

export class Durable {
  readonly #cell: Cell;
  readonly #needs: DurableNeeds;
  readonly #kept = new WeakMap<Mailbox, Kept>();

  constructor(cell: Cell, needs: DurableNeeds) {
    this.#cell = cell;
    this.#needs = needs;
  }

  isLoaded(mailbox: Mailbox): boolean {
    return this.#kept.has(mailbox);
  }

  /** Rejects with what the store said, or STATE_UNREADABLE. */
  async load(mailbox: Mailbox): Promise<void> {
    const [found] = await this.#needs.store.load([nameOf(this.#cell.name, mailbox.key)]);
    const kept = new Kept();
    if (found) {
      kept.rev = found.rev;
      kept.stored = found.bytes;
      this.#read(kept, mailbox.key);
    }
    this.#kept.set(mailbox, kept);
    this.#unpack(mailbox, kept);
  }

  /** It leaves memory: what the store has is all there is. */
  forget(mailbox: Mailbox): void {
    this.#kept.delete(mailbox);
  }

  hasCounted(mailbox: Mailbox, item: Item): boolean {
    const counted = this.#kept.get(mailbox)!.counted.get(item.source);
    if (counted === undefined || counted.epoch !== item.epoch || (item.flags & TIMER) !== 0) return false;
    return (item.path === '' && item.position <= counted.upTo) || counted.ids.has(idOf(item));
  }

  /** What an ask was answered that was counted before. */
  replyOf(mailbox: Mailbox, item: Item): unknown {
    return this.#kept.get(mailbox)!.counted.get(item.source)!.ids.get(idOf(item));
  }

  /** Handlers succeeded, and replied. Throws MESSAGE_NOT_CARRIABLE where its state cannot be packed: then it has failed. */
  count(mailbox: Mailbox, items: readonly Item[], replies: readonly unknown[]): void {
    const kept = this.#kept.get(mailbox)!;
    kept.state = this.#pack(mailbox);
    for (const [i, item] of items.entries()) if ((item.flags & TIMER) === 0) this.#countOne(kept, item, replies[i]);
  }

  #countOne(kept: Kept, item: Item, reply: unknown): void {
    let counted = kept.counted.get(item.source);
    if (counted === undefined || counted.epoch !== item.epoch)
      kept.counted.set(item.source, (counted = { epoch: item.epoch, upTo: -1, ids: new Map() }));
    if (item.path === '' && this.#needs.isOrdered(item.source)) counted.upTo = item.position;
    else counted.ids.set(idOf(item), item.isAsk ? reply : undefined);
  }

  /** A handler failed: the state is as the one before left it. */
  restore(mailbox: Mailbox): void {
    this.#unpack(mailbox, this.#kept.get(mailbox)!);
  }

  /** Nothing since the last save counts. */
  undo(mailbox: Mailbox): void {
    const kept = this.#kept.get(mailbox)!;
    kept.counted = new Map();
    kept.state = null;
    if (kept.stored) this.#read(kept, mailbox.key);
    this.#unpack(mailbox, kept);
  }

  /** Resolves when it is in the store; tries until it is. Rejects with STATE_TAKEN where another process wrote meanwhile. */
  async save(mailbox: Mailbox): Promise<void> {
    const kept = this.#kept.get(mailbox)!;
    this.#prune(kept);
    const counted = Array.from(kept.counted, ([source, { epoch, upTo, ids }]): Stored[3][number] => [
      source,
      epoch,
      upTo,
      Array.from(ids, ([id, reply]): [string, unknown?] => (reply === undefined ? [id] : [id, reply])),
    ]);
    const value: Stored = [FORMAT, this.#cell.definition.stateVersion ?? 1, kept.state, counted];
    const bytes = packValue(value);
    const rev = kept.rev + 1;
    for (let delay = RETRY_MS; ; delay = Math.min(2 * delay, LONGEST_RETRY_MS)) {
      try {
        const [isSaved] = await this.#needs.store.save([{ name: nameOf(this.#cell.name, mailbox.key), rev, bytes }]);
        if (!isSaved)
          throw new KeymillError(
            'STATE_TAKEN',
            `the state of ${this.#cell.name}/${String(mailbox.key).slice(0, 64)} was written by another process`,
            { place: { actor: this.#cell.name } },
          );
        kept.rev = rev;
        kept.stored = bytes;
        return;
      } catch (error) {
        if (classOf(error) === 'fatal') throw error;
        this.#needs.log.warn({ err: toWire(error) }, 'a state was not written; tried again, and its key waits');
        await new Promise<void>(resolve => this.#needs.environment.clock.after(delay, resolve));
      }
    }
  }

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #pack(mailbox: Mailbox): Uint8Array | null {
    if (!mailbox.hasState) return null;
    try {
      return packValue(mailbox.state);
    } catch (cause) {
      throw new KeymillError('MESSAGE_NOT_CARRIABLE', `the state of ${this.#cell.name}`, {
        cause,
        place: { actor: this.#cell.name },
      });
    }
  }

  #unpack(mailbox: Mailbox, { state }: Kept): void {
    mailbox.hasState = state !== null;
    mailbox.state = state === null ? undefined : unpackValue(state);
  }

  /** Throws STATE_UNREADABLE. */
  #read(kept: Kept, key: Key): void {
    const { definition, name } = this.#cell;
    const unreadable = (why: string, cause?: unknown): KeymillError =>
      new KeymillError('STATE_UNREADABLE', `the state of ${name}/${String(key).slice(0, 64)}: ${why}`, {
        cause,
        place: { actor: name },
      });
    let stored: Stored;
    try {
      stored = unpackValue(kept.stored!) as Stored;
    } catch (cause) {
      throw unreadable('not what keymill wrote', cause);
    }
    const [format, version, state, counted] = stored;
    if (format !== FORMAT) throw unreadable(`format ${format}; this version reads ${FORMAT}`);
    const wanted = definition.stateVersion ?? 1;
    kept.state = state;
    kept.counted = new Map(
      counted.map(([source, epoch, upTo, ids]) => [
        source,
        { epoch, upTo, ids: new Map(ids.map(([id, reply]) => [id, reply])) },
      ]),
    );
    if (version === wanted || state === null) return;
    if (version > wanted || !definition.migrate)
      throw unreadable(
        `it has stateVersion ${version}, the actor has ${wanted}${version < wanted ? ' and no migrate' : ''}`,
      );
    try {
      kept.state = packValue(definition.migrate(unpackValue(state), version));
    } catch (cause) {
      throw unreadable('migrate failed', cause);
    }
  }

  /** Forgets ids that will not come again. */
  #prune({ counted }: Kept): void {
    for (const [source, { ids }] of counted) {
      const low = this.#needs.lowOf(source);
      if (low !== undefined) {
        for (const id of ids.keys()) if (Number.parseInt(id, 10) < low) ids.delete(id);
      } else if (ids.size > KEPT_IDS) for (const id of [...ids.keys()].slice(0, ids.size - KEPT_IDS)) ids.delete(id);
    }
  }
}

function idOf({ position, path }: Item): string {
  return path === '' ? String(position) : `${position}.${path}`;
}

/** Keys of different types are different keys. */
export function nameOf(actor: string, key: Key): string {
  const type = typeof key === 'string' ? 's' : typeof key === 'bigint' ? 'i' : 'n';
  return `${prefixOf(actor)}${type}${key}`;
}

export function prefixOf(actor: string): string {
  return `state:${actor}:`;
}

/** The key behind a name. */
export function keyOf(actor: string, name: string): Key {
  const text = name.slice(prefixOf(actor).length);
  const value = text.slice(1);
  return text[0] === 's' ? value : text[0] === 'i' ? BigInt(value) : Number(value);
}
