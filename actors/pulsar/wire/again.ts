/** What a consumer has in hand and is to be given again: after a nack and its delay, or when it was not acknowledged in time. */
import type { Clock, Timer } from '../../../runtime/index.ts';
import { GONE, type Held, type HeldEntry, IN_HAND } from './held.ts';

export interface AgainNeeds {
  readonly clock: Clock;
  readonly nackDelayMs: number;
  /** 0 for never. */
  readonly ackTimeoutMs: number;
  readonly held: Held;
  /** Brokers give whole entries again. */
  giveAgain(entries: readonly HeldEntry[]): void;
}

/** Delays are looked at so often in their length. */
const LOOKS = 3;

export class Again {
  readonly #needs: AgainNeeds;
  #nacks: { readonly entry: HeldEntry; readonly index: number; readonly at: number }[] = [];
  #timer: Timer | null = null;
  #ackTimer: Timer | null = null;

  constructor(needs: AgainNeeds) {
    this.#needs = needs;
    if (needs.ackTimeoutMs > 0) this.#watch();
  }

  later(entry: HeldEntry, index: number): void {
    this.#nacks.push({ entry, index, at: this.#needs.clock.now() + this.#needs.nackDelayMs });
    this.#arm();
  }

  clear(): void {
    this.#nacks = [];
  }

  close(): void {
    this.#timer?.cancel();
    this.#ackTimer?.cancel();
  }

  #arm(): void {
    const { clock, nackDelayMs, giveAgain } = this.#needs;
    this.#timer ??= clock.after(Math.max(1, nackDelayMs / LOOKS), () => {
      this.#timer = null;
      const now = clock.now();
      const due = this.#nacks.filter(({ at }) => at <= now);
      this.#nacks = this.#nacks.filter(({ at }) => at > now);
      const entries = new Set<HeldEntry>();
      for (const { entry, index } of due)
        if (entry.states[index] === IN_HAND) {
          entry.states[index] = GONE;
          entries.add(entry);
        }
      if (entries.size > 0) giveAgain([...entries]);
      if (this.#nacks.length > 0) this.#arm();
    });
  }

  #watch(): void {
    const { clock, ackTimeoutMs, held, giveAgain } = this.#needs;
    this.#ackTimer = clock.after(ackTimeoutMs / LOOKS, () => {
      const now = clock.now();
      const late = [...held.all()].filter(
        ({ states, handedAt }) => now - handedAt >= ackTimeoutMs && states.includes(IN_HAND),
      );
      for (const { states } of late)
        for (let i = 0; i < states.length; i++) if (states[i] === IN_HAND) states[i] = GONE;
      if (late.length > 0) giveAgain(late);
      this.#watch();
    });
  }
}
