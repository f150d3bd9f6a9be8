/**
 * A consumer or reader that a loop on another thread polls. When no ask came for `idleMs`, its client is gone (its host
 * died, or the loop was left without a goodbye): it is closed, and what it was given and did not acknowledge is given again.
 */
import { type Environment, isKeymillError, type Timer } from '../../runtime/index.ts';
import type { Polled } from './asks.ts';
import type { Consumer, MessageId, Reader } from './contract.ts';
import type { Meters } from './meters.ts';
import { Pump } from './pump.ts';

/** A poll is answered by then, with or without messages; well below the time-out of the I/O policy. */
const POLL_MS = 10_000;

const GONE: Polled = { isGone: true };

export class Session {
  readonly #consumer: Consumer | null;
  readonly #reader: Reader | null;
  /** Begins with the first poll: what is acknowledged before that must not be taken. */
  #pump: Pump | null = null;
  readonly #environment: Environment;
  readonly #meters: Meters;
  readonly #idleMs: number;
  readonly #ended: () => void;
  #asks = 0;
  #askedAt: number;
  #timer: Timer | null = null;
  #isClosed = false;

  /** `ended` is told when it is closed, however that came. */
  constructor(
    of: { consumer: Consumer } | { reader: Reader },
    environment: Environment,
    meters: Meters,
    idleMs: number,
    ended: () => void,
  ) {
    this.#consumer = 'consumer' in of ? of.consumer : null;
    this.#reader = 'reader' in of ? of.reader : null;
    this.#environment = environment;
    this.#meters = meters;
    this.#idleMs = idleMs;
    this.#ended = ended;
    this.#askedAt = environment.clock.now();
    this.#watch(idleMs);
  }

  /** Rejects with what receiving rejected with. */
  async poll(isUpToEnd: boolean, signal: AbortSignal): Promise<Polled> {
    return this.#asked(async () => {
      if (this.#isClosed) return GONE;
      this.#pump ??= new Pump(
        stop => this.#consumer?.receive(stop) ?? this.#reader!.next(stop),
        this.#environment,
        this.#meters,
      );
      try {
        if (isUpToEnd && (await this.#isAtEnd(this.#pump))) return { messages: [], isEnd: true };
        await this.#pump.wait(POLL_MS, signal);
        return this.#isClosed ? GONE : { messages: this.#pump.take(), isEnd: false };
      } catch (error) {
        void this.close().catch(() => undefined);
        if (isKeymillError(error, 'CONSUMER_CLOSED')) return GONE;
        throw error;
      }
    });
  }

  async acknowledge(ids: readonly MessageId[]): Promise<void> {
    await this.#asked(async () => this.#consumer?.acknowledge(ids));
    this.#meters.processed += ids.length;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#pump?.stop();
    this.#ended();
    await (this.#consumer ?? this.#reader!).close();
  }

  /** All that the reader could give was given out. */
  async #isAtEnd(pump: Pump): Promise<boolean> {
    const hasNext = (await this.#reader?.hasNext()) ?? true;
    if (hasNext) return false;
    await pump.turn(); // the last one may just have been taken
    return pump.isEmpty;
  }

  async #asked<T>(answer: () => Promise<T>): Promise<T> {
    this.#asks++;
    try {
      return await answer();
    } finally {
      this.#asks--;
      this.#askedAt = this.#environment.clock.now();
    }
  }

  #watch(ms: number): void {
    this.#timer = this.#environment.clock.after(ms, () => {
      const left = this.#asks > 0 ? this.#idleMs : this.#askedAt + this.#idleMs - this.#environment.clock.now();
      if (left > 0) this.#watch(left);
      else void this.close().catch(() => undefined);
    });
  }
}
