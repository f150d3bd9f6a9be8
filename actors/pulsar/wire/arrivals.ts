/**
 * The messages that come to a consumer of a partition: checked, put together, split, and put in the inbox; those of them
 * that are not wanted are passed over. For each that is dropped the broker gets its permit back.
 */
import { asError, isKeymillError, type KeymillError, type Log } from '../../../runtime/index.ts';
import type { InMessage } from '../contract.ts';
import { type IdParts, parseId } from '../message-id.ts';
import { Chunks, type Whole } from './chunks.ts';
import type { CommandOf } from './codec/commands.ts';
import type { FramedMessage } from './codec/frames.ts';
import { ACKED, countSet, GONE, type Held, type HeldEntry, IN_HAND, QUEUED } from './held.ts';
import type { Inbox, InboxOwner } from './inbox.ts';
import { isBehind, type Spot } from './spots.ts';
import { unpackEntry } from './unpack.ts';

/** Takes messages that were given often enough. */
export interface Burial {
  /** Redeliveries above which a message is dead. */
  readonly above: number;
  /** Resolves when it is safe elsewhere. */
  take(message: InMessage): Promise<void>;
}

export interface ArrivalsNeeds {
  readonly topic: string;
  readonly partition: number;
  /** Null for a reader, which acknowledges nothing. */
  readonly held: Held | null;
  readonly owner: InboxOwner;
  readonly inbox: Inbox;
  readonly log: Log;
  readonly bury: Burial | undefined;
  /** So many permits are free again. */
  give(count: number): void;
  acknowledge(id: IdParts): Promise<void>;
  again(entry: HeldEntry, index: number): void;
  refuse(ack: Pick<CommandOf<'ack'>, 'messageId' | 'validationError'>): void;
  ledgerSeen(ledger: number): void;
  /** Nothing more can be given out: what comes next is there, and cannot be read here. */
  fail(fault: KeymillError): void;
}

/** Reason for acknowledging what nobody can read. */
const CHECKSUM_MISMATCH = 2;

type Message = CommandOf<'message'>;

export class Arrivals {
  readonly #needs: ArrivalsNeeds;
  readonly #chunks = new Chunks();
  #ledger = -1;
  /** Raised with each redelivery of all: what was sent before it is older, and dropped. */
  epoch = 0;
  /** Between a seek and the attaching behind it: what comes is of the old place. */
  isMoving = false;
  dropped = 0;
  /** Entries that nobody can read. */
  corrupt = 0;
  /** Nothing up to here is given out: where a reader begins, or what a seek led into the middle of a batch. */
  after: Spot | null = null;

  constructor(needs: ArrivalsNeeds) {
    this.#needs = needs;
  }

  take(command: Message, framed: FramedMessage): void {
    const { ledgerId: ledger, entryId: entry } = command.messageId;
    if (ledger !== this.#ledger) {
      this.#ledger = ledger;
      this.#needs.ledgerSeen(ledger);
    }
    const size = framed.metadata?.numMessagesInBatch ?? 1;
    const ackSet = command.ackSet && command.ackSet.length > 0 ? command.ackSet : undefined;
    // What the broker counts for it, and is to get back in the end (PIP-491).
    const charged = ackSet ? countSet(ackSet, size) : size;
    const { consumerEpoch } = command;
    if (this.isMoving || (consumerEpoch !== undefined && consumerEpoch < this.epoch)) {
      this.dropped++;
      return this.#needs.give(charged);
    }
    if (!framed.isIntact) return this.#corrupt(command, 'its checksum is wrong', charged);
    try {
      const whole = this.#chunks.add(framed.metadata, { ledger, entry }, framed.payload);
      if (whole === null) return this.#needs.give(charged);
      const held = this.#needs.held?.enter(ledger, entry, size, ackSet) ?? null;
      this.#unpack(whole, held, command, charged);
    } catch (error) {
      // What another client, or another setting, could read must not be acknowledged away.
      if (isKeymillError(error)) return this.#needs.fail(error);
      this.#corrupt(command, asError(error).message, charged);
    }
    this.#needs.inbox.serve();
  }

  clear(): void {
    this.#chunks.clear();
  }

  #unpack({ metadata, payload, parts }: Whole, held: HeldEntry | null, command: Message, charged: number): void {
    const { topic, partition, bury, owner, inbox } = this.#needs;
    const { redeliveryCount = 0 } = command;
    const { ledgerId: ledger, entryId: entry } = command.messageId;
    if (held && parts.length > 0) held.parts = parts;
    const isDead = bury !== undefined && redeliveryCount > bury.above;
    const dead: InMessage[] = [];
    let kept = 0;
    const place = { topic, idBegin: `${ledger}:${entry}:${partition}:`, redeliveryCount };
    unpackEntry(metadata, payload, place, (index, message) => {
      if (this.after && !isBehind(ledger, entry, index, this.after)) {
        if (held) held.states[index] = ACKED; // of a batch into whose middle a seek led
        return;
      }
      if (held) {
        if (held.states[index] !== GONE) return; // acknowledged, or in hand from before a reconnection
        held.states[index] = isDead ? IN_HAND : QUEUED;
      }
      if (isDead) dead.push(message);
      else {
        kept++;
        inbox.put({ owner, message, ledger, entry, index, held });
      }
    });
    if (charged > kept) this.#needs.give(charged - kept);
    if (held === null) return;
    if (dead.length > 0) void this.#bury(held, dead);
    else if (held.isAcked)
      void this.#needs.acknowledge(idOf(held)).catch(() => undefined); // lost on its way there
    else if (held.isGone) this.#needs.held!.forget(held);
  }

  /** Published elsewhere, then acknowledged; given again where that failed. */
  async #bury(held: HeldEntry, messages: readonly InMessage[]): Promise<void> {
    const { bury, log, topic, acknowledge, again } = this.#needs;
    try {
      await Promise.all(messages.map(message => bury!.take(message)));
      await Promise.all(messages.map(message => acknowledge(parseId(message.id))));
    } catch (error) {
      log.warn({ topic, err: asError(error).message }, 'a dead letter was not written; tried again');
      for (const { id } of messages) again(held, Math.max(0, parseId(id).batchIndex));
    }
  }

  /** Nobody can read it: acknowledged as such, or it would come for ever (reference/pulsar.md pitfall 39). */
  #corrupt({ messageId: { ledgerId, entryId } }: Message, why: string, charged: number): void {
    const { topic, log, refuse, give } = this.#needs;
    log.error({ topic, ledger: ledgerId, entry: entryId, why }, 'an entry cannot be read, and is passed over');
    this.corrupt++;
    refuse({ messageId: [{ ledgerId, entryId }], validationError: CHECKSUM_MISMATCH });
    give(charged);
  }
}

function idOf({ ledger, entry, states }: HeldEntry): IdParts {
  return { ledger, entry, partition: -1, batchIndex: states.length > 1 ? 0 : -1 };
}
