/**
 * Exclusive and Failover: all messages of a topic go to one consumer, in order. Of a Failover subscription the active one
 * is chosen by name: sorted, and the partition's number picks (Pulsar spreads partitions so; where there are none, the
 * first is). Who comes later may be chosen in place of the active one; it then waits until that has acknowledged what it
 * took, so that no message is with two consumers at once. Pulsar itself does not wait there.
 */
import type { CursorChange } from './cursor.ts';
import { type Dispatcher, type DispatcherNeeds, READ_ROWS } from './dispatcher.ts';
import type { Member } from './member.ts';

export class SingleDispatcher implements Dispatcher {
  readonly #needs: DispatcherNeeds;
  readonly #members: Member[] = [];
  #active: Member | null = null;
  /** Number of the next message to give. */
  #next: number;

  constructor(needs: DispatcherNeeds) {
    this.#needs = needs;
    this.#next = needs.cursor.mark;
  }

  add(member: Member): void {
    this.#members.push(member);
    this.#members.sort((a, b) =>
      a.options.name < b.options.name ? -1 : a.options.name > b.options.name ? 1 : a.id - b.id,
    );
    this.#choose();
  }

  remove(member: Member): void {
    this.#members.splice(this.#members.indexOf(member), 1);
    if (member === this.#active) {
      this.#rewind();
      this.#active = null;
    }
    this.#choose();
  }

  run(): void {
    const { topic, cursor } = this.#needs;
    const active = this.#active;
    if (!active || active !== this.#chosen) return;
    this.#next = Math.max(this.#next, cursor.mark, topic.first);
    while (this.#next < topic.next) {
      active.unacked = this.#unacked;
      const { room } = active;
      if (room === 0) return;
      const { from, to } = cursor.gap(this.#next);
      const end = Math.min(to, topic.next);
      const limit = Math.min(room, READ_ROWS);
      let rows = 0;
      this.#next = from;
      topic.read(from, end, limit, stored => {
        rows++;
        this.#next = stored.seq + 1;
        active.give(stored, -1);
        return !active.inbox.isFull;
      });
      if (rows === 0) this.#next = end; // they were dropped
    }
    active.unacked = this.#unacked;
  }

  taken(): void {
    // What matters, how many it holds, is told by the cursor.
  }

  redeliver(member: Member): void {
    if (member !== this.#active) return;
    this.#rewind();
    this.#choose();
  }

  changed(change: CursorChange): void {
    if (change.isMoved) this.#rewind();
    this.#choose();
  }

  close(): void {
    // no timers
  }

  /** Who should be active. */
  get #chosen(): Member | undefined {
    const { partition } = this.#needs.topic.name;
    return this.#members[Math.max(0, partition) % this.#members.length];
  }

  /** Given and not acknowledged. */
  get #unacked(): number {
    return this.#needs.cursor.openBelow(this.#next);
  }

  #choose(): void {
    const chosen = this.#chosen;
    if (this.#active && chosen !== this.#active) {
      const [first] = this.#takeBack();
      if (first !== undefined) this.#next = first;
      if (this.#unacked === 0) this.#active = null;
    }
    this.#active ??= chosen ?? null;
  }

  #rewind(): void {
    this.#takeBack();
    this.#next = this.#needs.cursor.mark;
  }

  /** Numbers of what the active one has not taken out of its inbox, in order. */
  #takeBack(): number[] {
    const active = this.#active;
    return active ? active.inbox.retract(one => one.member === active).map(one => one.seq) : [];
  }
}
