/** Runs are counted only when everything sent was handled, once, in order where that is promised, and acknowledged. */
import { now } from '../lib/clock.ts';
import type { Counts } from '../lib/histogram.ts';
import type { Messages } from '../lib/message.ts';
import type { Handled, Tally } from '../lib/tally.ts';

/** One run at full speed. */
export interface Run {
  messages: number;
  /** From the first send to the last acknowledgement. */
  ns: number;
  /** CPU of the whole process meanwhile, µs. */
  cpuUs: number;
  handled: Handled;
}

/** What the sending side of a paced run measures. */
export interface Paced {
  /** From the time an ask was due at to its reply; empty for tells. */
  roundTrip: Counts;
  /** How late messages left: the generator's own part in the latencies. */
  late: Counts;
}

/** Promises of a contestant that a run is held to. */
export interface Promised {
  readonly ordered: boolean;
  /** Acknowledgements so far; undefined where none are given. */
  acknowledged(): Promise<number> | undefined;
}

export class Proof {
  readonly #tally: Tally;
  readonly #messages: Messages;
  readonly #promised: Promised;

  constructor(tally: Tally, messages: Messages, promised: Promised) {
    this.#tally = tally;
    this.#messages = messages;
    this.#promised = promised;
  }

  /** Runs, and throws where something is missing. Each ask is looked at by who asks, so they need no other proof. */
  async of(
    { work = 0, timing = false, asks = false }: { work?: number; timing?: boolean; asks?: boolean },
    run: () => Promise<void>,
  ): Promise<Run> {
    this.#tally.configure({ work, timing });
    this.#tally.reset();
    const from = this.#messages.next;
    const before = asks ? undefined : await this.#promised.acknowledged();
    const cpu = process.cpuUsage();
    const began = now();
    await run();
    const ns = now() - began;
    const { user, system } = process.cpuUsage(cpu);
    const messages = this.#messages.next - from;
    const handled = this.#tally.read();
    if (handled.count !== messages) throw new Error(`${messages} messages were sent and ${handled.count} handled`);
    if (handled.checksum !== this.#messages.checksumFrom(from))
      throw new Error('the checksum of what was handled is wrong');
    if (this.#promised.ordered && handled.disorder > 0)
      throw new Error(`${handled.disorder} messages came after a later one of their key`);
    if (before !== undefined) {
      const acknowledged = (await this.#promised.acknowledged())! - before;
      if (acknowledged !== messages) throw new Error(`${messages} messages were sent and ${acknowledged} acknowledged`);
    }
    return { messages, ns, cpuUs: user + system, handled };
  }

  /** The same for a run at a given pace, with its latencies. */
  async paced(what: 'tell' | 'ask', run: () => Promise<Paced>): Promise<Run & Paced> {
    let paced: Paced = { roundTrip: [], late: [] };
    const result = await this.of({ timing: true, asks: what === 'ask' }, async () => {
      paced = await run();
    });
    return { ...result, ...paced };
  }
}
