/**
 * Takes messages from a consumer or reader one after another, and keeps some at hand, so that what has come can be had
 * together and without waiting. Bounded by count and bytes; a single larger message fits.
 */
import type { Environment, Timer } from '../../runtime/index.ts';
import type { InMessage } from './contract.ts';
import type { Meters } from './meters.ts';

const MAX_MESSAGES = 256;
const MAX_BYTES = 1024 * 1024;

export class Pump {
  readonly #next: (signal: AbortSignal) => Promise<InMessage>;
  readonly #environment: Environment;
  readonly #meters: Pick<Meters, 'received'>;
  readonly #stop = new AbortController();
  #messages: InMessage[] = [];
  #bytes = 0;
  #isRunning = false;
  #fault: { readonly error: unknown } | null = null;
  #wake: (() => void) | null = null;

  constructor(
    next: (signal: AbortSignal) => Promise<InMessage>,
    environment: Environment,
    meters: Pick<Meters, 'received'>,
  ) {
    this.#next = next;
    this.#environment = environment;
    this.#meters = meters;
    this.#run();
  }

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  get isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /**
   * Resolves when there are messages, all that came in this turn; when there is a fault; after `ms`; or at once when
   * `signal` is aborted or it was stopped.
   */
  async wait(ms: number, signal?: AbortSignal): Promise<void> {
    if (this.#isQuiet && !signal?.aborted) await this.#sleep(ms, signal);
    await this.turn();
  }

  /** What is at hand. Throws what taking threw, once all before it was had. */
  take(): InMessage[] {
    const messages = this.#messages;
    if (messages.length === 0 && this.#fault) throw this.#fault.error;
    this.#messages = [];
    this.#bytes = 0;
    this.#run();
    return messages;
  }

  /** Ends a `wait`. */
  wake(): void {
    this.#wake?.();
  }

  /** Takes no more. */
  stop(): void {
    this.#stop.abort();
    this.wake();
  }

  /** What was handed out already, in this turn, is at hand after it. */
  turn(): Promise<void> {
    return new Promise(resolve => this.#environment.endOfTurn(resolve));
  }

  get #isQuiet(): boolean {
    return this.isEmpty && this.#fault === null && !this.isStopped;
  }

  #sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise(resolve => {
      let timer: Timer | null = null;
      const awake = (): void => {
        timer?.cancel();
        signal?.removeEventListener('abort', awake);
        this.#wake = null;
        resolve();
      };
      if (ms !== Number.POSITIVE_INFINITY) timer = this.#environment.clock.after(ms, awake);
      signal?.addEventListener('abort', awake, { once: true });
      this.#wake = awake;
    });
  }

  #run(): void {
    if (this.#isRunning || this.#fault || this.isStopped) return;
    this.#isRunning = true;
    void this.#fill();
  }

  async #fill(): Promise<void> {
    const { signal } = this.#stop;
    try {
      while (this.#messages.length < MAX_MESSAGES && this.#bytes < MAX_BYTES && !signal.aborted) {
        const message = await this.#next(signal);
        this.#messages.push(message);
        this.#meters.received++;
        this.#bytes += message.payload?.length ?? 0;
        this.wake();
      }
    } catch (error) {
      if (!signal.aborted) this.#fault = { error };
      this.wake();
    }
    this.#isRunning = false;
  }
}
