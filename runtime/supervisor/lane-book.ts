/** Which lanes stand. One per ordered pair of threads, made on first use; nothing is relayed through the main thread. */
import type { Command } from '../host/control.ts';
import type { Slot } from './slot.ts';
import type { Threads } from './threads.ts';

interface LaneNeeds {
  readonly slots: readonly (Slot | undefined)[];
  readonly threads: Threads;
  tell(slot: Slot, command: Command): void;
  /** Commands to the sender of the main thread, slot 0. */
  main(command: Command): void;
}

export class LaneBook {
  readonly #needs: LaneNeeds;
  /** Lanes that stand, as `from@incarnation>to@incarnation`, and that somebody waits for, as `from>to`. */
  readonly #lanes = new Set<string>();
  readonly #wanted = new Set<string>();

  constructor(needs: LaneNeeds) {
    this.#needs = needs;
  }

  /** Opens what somebody waits for, where both ends are there by now. */
  connectWanted(): void {
    for (const wanted of [...this.#wanted]) {
      const [from, to] = wanted.split('>').map(Number) as [number, number];
      this.connect(from, to);
    }
  }

  /** A thread died, and its lanes with it. */
  forget(slot: number): void {
    for (const lane of [...this.#lanes])
      if (lane.startsWith(`${slot}@`) || lane.includes(`>${slot}@`)) this.#lanes.delete(lane);
  }

  /** One lane per ordered pair of threads, made on first use and again when either end was replaced. */
  connect(from: number, to: number): void {
    const sender = from === 0 ? null : this.#needs.slots[from];
    const receiver = this.#needs.slots[to];
    const wanted = `${from}>${to}`;
    if (!receiver?.isReachable || sender?.isReachable === false) {
      this.#wanted.add(wanted); // opened when both are there
      return;
    }
    this.#wanted.delete(wanted);
    const lane = `${from}@${sender?.incarnation ?? 1}>${to}@${receiver.incarnation}`;
    if (this.#lanes.has(lane)) return;
    this.#lanes.add(lane);
    const [out, into] = this.#needs.threads.channel();
    this.#needs.tell(receiver, { type: 'lane-in', slot: from, incarnation: sender?.incarnation ?? 1, port: into });
    if (sender) this.#needs.tell(sender, { type: 'lane-out', slot: to, incarnation: receiver.incarnation, port: out });
    else
      this.#needs.main({
        type: 'lane-out',
        slot: to,
        incarnation: receiver.incarnation,
        port: this.#needs.threads.local(out),
      });
  }
}
