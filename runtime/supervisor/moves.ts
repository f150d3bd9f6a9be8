/**
 * Moving partitions between hosts (rule 19). Hold the partition in the table (senders keep its messages back), have the
 * old home bounce what is queued and end what runs, then name the new home; senders resend what was bounced, in order,
 * before anything new. A home that dies while it releases has released: nothing of it runs any more.
 */

import type { Environment } from '../environment.ts';
import { HELD, type Homes } from '../lanes/homes.ts';

interface Move {
  from: number;
  to: number;
  done: () => void;
}

export class Moves {
  readonly #homes: Homes;
  readonly #environment: Environment;
  readonly #release: (slot: number, partition: number) => void;
  readonly #announce: () => void;
  readonly #moving = new Map<number, Move>();

  constructor(
    homes: Homes,
    environment: Environment,
    release: (slot: number, partition: number) => void,
    announce: () => void,
  ) {
    this.#homes = homes;
    this.#environment = environment;
    this.#release = release;
    this.#announce = announce;
  }

  get size(): number {
    return this.#moving.size;
  }

  /** Starts moving a partition; false if it is moving or at home there already. */
  start(partition: number, to: number, isReachable: (slot: number) => boolean, done: () => void = () => {}): boolean {
    const from = this.#homes.homeOf(partition);
    if (from === HELD || from === to) return false;
    this.#moving.set(partition, { from, to, done });
    this.#homes.assign(partition, HELD);
    this.#announce();
    if (isReachable(from)) this.#release(from, partition);
    else this.released(partition, from);
    return true;
  }

  released(partition: number, by: number): void {
    const move = this.#moving.get(partition);
    if (!move || move.from !== by) return;
    this.#moving.delete(partition);
    this.#homes.assign(partition, move.to);
    this.#environment.probe?.('move.adopted');
    this.#announce();
    move.done();
  }

  slotDied(slot: number): void {
    for (const [partition, move] of [...this.#moving])
      if (move.from === slot) {
        this.#environment.probe?.('move.host-died');
        this.released(partition, slot);
      }
  }
}
