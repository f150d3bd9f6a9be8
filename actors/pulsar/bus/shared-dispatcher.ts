/**
 * Shared and Key_Shared: messages of a topic are given to several consumers, each to one at a time. Shared takes those with
 * permits in turn. Key_Shared asks the slot of the key (key-slots.ts), and holds back what its consumer cannot take now: a
 * later message of that slot then waits behind it. Others overtake, up to LOOK_AHEAD messages held back.
 */
import type { Timer } from '../../../runtime/index.ts';
import type { CursorChange } from './cursor.ts';
import { Delayed } from './delayed.ts';
import { type Dispatcher, type DispatcherNeeds, READ_ROWS } from './dispatcher.ts';
import { KeySlots, slotOf } from './key-slots.ts';
import type { Member } from './member.ts';
import { Replay } from './replay.ts';
import type { Stored } from './topic.ts';

/** Messages held back at which no more are read (Pulsar: keySharedLookAheadMsgInReplayThreshold, 2000 a consumer). */
const LOOK_AHEAD = 2000;
/** Messages that wait for their time (deliverAt) at which no more are read. */
const MAX_DELAYED = 1_000_000;
/** How long what could not be dead-lettered rests. */
const BURY_AGAIN_MS = 1000;

interface Pending {
  readonly member: Member;
  readonly slot: number;
  /** It was taken by the application; else it is in the inbox. */
  isTaken: boolean;
  /** On its way to the dead letters: with nobody, whoever leaves. */
  isDying: boolean;
}

export class SharedDispatcher implements Dispatcher {
  readonly #needs: DispatcherNeeds;
  readonly #slots: KeySlots | null;
  #members: Member[] = [];
  #turn = 0;
  /** Number of the next message to read for the first time. */
  #next: number;
  /** Given and not acknowledged. */
  readonly #pending = new Map<number, Pending>();
  readonly #replay = new Replay();
  /** Slots of what is in `#replay` or `#delayed`; and how many of each are in `#replay`. */
  readonly #slotOf = new Map<number, number>();
  readonly #waiting = new Map<number, number>();
  readonly #delayed = new Delayed();
  /** How often a message was given before, where it was. */
  readonly #redelivered = new Map<number, number>();
  #timer: Timer | null = null;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(needs: DispatcherNeeds, isByKey: boolean) {
    this.#needs = needs;
    this.#slots = isByKey ? new KeySlots() : null;
    this.#next = needs.cursor.mark;
  }

  /** Of the slots that move, what the others have not taken yet moves at once. */
  add(member: Member): void {
    this.#members.push(member);
    const slots = this.#slots;
    slots?.add(member);
    if (!slots) return;
    for (const other of this.#members)
      if (other !== member)
        for (const one of other.inbox.retract(one => one.member === other && slots.ownerOf(one.slot) !== other))
          this.#giveBack(one.seq);
  }

  remove(member: Member): void {
    this.#members = this.#members.filter(other => other !== member);
    this.#slots?.remove(member);
    member.inbox.retract(one => one.member === member);
    for (const [seq, pending] of [...this.#pending])
      if (pending.member === member && !pending.isDying) {
        if (pending.isTaken) this.#count(seq);
        this.#giveBack(seq);
      }
  }

  run(): void {
    this.#releaseDelayed();
    if (this.#members.every(member => member.room === 0)) return;
    if (this.#replay.size > 0) this.#giveAgain();
    this.#giveNew();
  }

  taken(_member: Member, seq: number): void {
    const pending = this.#pending.get(seq);
    if (pending) pending.isTaken = true;
  }

  redeliver(member: Member, seqs: readonly number[] | 'all'): void {
    const isHis = (seq: number): boolean =>
      this.#pending.get(seq)?.member === member && !this.#pending.get(seq)!.isDying;
    const back = (seqs === 'all' ? [...this.#pending.keys()] : seqs).filter(isHis);
    if (back.length === 0) return;
    const among = new Set(back);
    const slots = new Set(back.map(seq => this.#pending.get(seq)!.slot));
    // What waits in the inbox behind them is given again with them, or it would overtake.
    const waiting = member.inbox.retract(
      one => one.member === member && (among.has(one.seq) || (this.#slots !== null && slots.has(one.slot))),
    );
    for (const seq of back) {
      if (this.#pending.get(seq)!.isTaken) this.#count(seq);
      this.#giveBack(seq);
    }
    for (const { seq } of waiting) if (!among.has(seq)) this.#giveBack(seq);
  }

  changed({ acked, isMoved }: CursorChange): void {
    if (isMoved) this.#reset();
    for (const seq of acked) {
      this.#redelivered.delete(seq);
      const pending = this.#pending.get(seq);
      if (pending) this.#release(seq, pending);
      else if (this.#replay.delete(seq)) this.#unhold(seq);
      else if (this.#delayed.delete(seq)) this.#slotOf.delete(seq);
    }
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#timerAt = Number.NEGATIVE_INFINITY;
  }

  // ── giving ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #giveAgain(): void {
    const blocked = new Set<number>();
    this.#replay.sweep(seq => {
      const slot = this.#slotOf.get(seq) ?? -1;
      if (blocked.has(slot)) return 'stays';
      const member = this.#memberFor(slot);
      if (!member) {
        if (this.#slots === null) return 'ends';
        blocked.add(slot);
        return 'stays';
      }
      const stored = this.#needs.cursor.isAcked(seq) ? undefined : this.#needs.topic.readOne(seq);
      this.#unhold(seq);
      if (stored) this.#give(member, stored, slot);
      return 'leaves';
    });
  }

  #giveNew(): void {
    const { topic, cursor } = this.#needs;
    this.#next = Math.max(this.#next, cursor.mark, topic.first);
    while (this.#next < topic.next && this.#mayRead) {
      const room = this.#members.reduce((sum, member) => sum + member.room, 0);
      if (room === 0) return;
      const { from, to } = cursor.gap(this.#next);
      const end = Math.min(to, topic.next);
      let rows = 0;
      this.#next = from;
      topic.read(from, end, Math.min(room, READ_ROWS), stored => {
        rows++;
        if (this.#isDelayed(stored)) {
          this.#next = stored.seq + 1;
          return this.#mayRead;
        }
        const slot = this.#slots ? slotOf(stored.message) : -1;
        const member = this.#waiting.has(slot) ? undefined : this.#memberFor(slot);
        if (!member && !this.#slots) return false; // all are full
        this.#next = stored.seq + 1;
        if (member) this.#give(member, stored, slot);
        else this.#hold(stored.seq, slot);
        return this.#mayRead;
      });
      if (rows === 0) this.#next = end; // they were dropped
    }
  }

  get #mayRead(): boolean {
    return this.#replay.size < LOOK_AHEAD && this.#delayed.size < MAX_DELAYED;
  }

  #memberFor(slot: number): Member | undefined {
    if (this.#slots) {
      const owner = this.#slots.memberFor(slot);
      return owner && owner.room > 0 ? owner : undefined;
    }
    const members = this.#members;
    for (let i = 0; i < members.length; i++) {
      const member = members[(this.#turn + i) % members.length]!;
      if (member.room === 0) continue;
      this.#turn = (this.#turn + i + 1) % members.length;
      return member;
    }
    return undefined;
  }

  #give(member: Member, stored: Stored, slot: number): void {
    const { seq } = stored;
    const count = this.#redelivered.get(seq) ?? 0;
    const { deadLetter } = member.options;
    const isDying = deadLetter !== null && count > deadLetter.maxRedeliver;
    this.#pending.set(seq, { member, slot, isTaken: false, isDying });
    member.unacked++;
    this.#slots?.hold(slot, member);
    stored.message.redeliveryCount = count;
    if (!isDying) return member.give(stored, slot);
    this.#needs.bury(member, stored, () => {
      if (!this.#pending.get(seq)?.isDying) return;
      this.#giveBack(seq);
      this.#replay.delete(seq);
      this.#unhold(seq);
      this.#delay(seq, slot, this.#needs.clock.wall() + BURY_AGAIN_MS);
    });
  }

  // ── taking back ──────────────────────────────────────────────────────────────────────────────────────────────────

  #count(seq: number): void {
    this.#redelivered.set(seq, (this.#redelivered.get(seq) ?? 0) + 1);
  }

  /** One that waits in an inbox may be acknowledged meanwhile: then there is nothing to give back. */
  #giveBack(seq: number): void {
    const pending = this.#pending.get(seq);
    if (!pending) return;
    this.#release(seq, pending);
    this.#hold(seq, pending.slot);
  }

  #release(seq: number, { member, slot }: Pending): void {
    this.#pending.delete(seq);
    member.unacked--;
    member.forget(seq);
    this.#slots?.release(slot);
  }

  /** Keeps it to be given later, before any later one of its slot. */
  #hold(seq: number, slot: number): void {
    this.#replay.add(seq);
    if (!this.#slots) return;
    this.#slotOf.set(seq, slot);
    this.#waiting.set(slot, (this.#waiting.get(slot) ?? 0) + 1);
  }

  #unhold(seq: number): void {
    const slot = this.#slotOf.get(seq);
    if (slot === undefined) return;
    this.#slotOf.delete(seq);
    const left = this.#waiting.get(slot)! - 1;
    if (left === 0) this.#waiting.delete(slot);
    else this.#waiting.set(slot, left);
  }

  #reset(): void {
    for (const member of this.#members) {
      member.inbox.retract(one => one.member === member);
      member.forgetAll();
    }
    for (const [seq, pending] of [...this.#pending]) this.#release(seq, pending);
    this.#replay.clear();
    this.#slotOf.clear();
    this.#waiting.clear();
    this.#delayed.clear();
    this.#redelivered.clear();
    this.#slots?.clear();
    this.#next = this.#needs.cursor.mark;
  }

  // ── deliverAt ────────────────────────────────────────────────────────────────────────────────────────────────────

  #isDelayed({ seq, deliverAt, message }: Stored): boolean {
    if (deliverAt === null || deliverAt <= this.#needs.clock.wall()) return false;
    this.#delay(seq, this.#slots ? slotOf(message) : -1, deliverAt);
    return true;
  }

  #delay(seq: number, slot: number, at: number): void {
    if (this.#slots) this.#slotOf.set(seq, slot);
    this.#delayed.add(seq, at);
    this.#arm();
  }

  #releaseDelayed(): void {
    if (this.#delayed.size === 0) return;
    for (const seq of this.#delayed.takeDue(this.#needs.clock.wall())) this.#hold(seq, this.#slotOf.get(seq) ?? -1);
    this.#arm();
  }

  #arm(): void {
    const { clock, due } = this.#needs;
    const at = this.#delayed.nextAt ?? Number.POSITIVE_INFINITY;
    if (at >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = clock.after(Math.max(0, at - clock.wall()), () => {
      this.#timer = null;
      this.#timerAt = Number.POSITIVE_INFINITY;
      due();
      this.#arm(); // timers ring by another clock than that of the wall, maybe too early
    });
  }
}
