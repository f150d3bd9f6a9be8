/**
 * A subscription as its reader has it. It is asked for at once, so what the same caller publishes afterwards is heard; then
 * it is polled while it is read. When the store does not know it any more (its thread was replaced, or nobody polled for
 * long) it subscribes anew and says that some may be lost. While the store refuses to answer, it tries again every second:
 * what it missed meanwhile is in its queue, or is told as lost.
 *
 * Ends with the loop, with its signal, and without an error when the runtime stops.
 */
import { setTimeout as after } from 'node:timers/promises';
import { isKeymillError } from '../../runtime/index.ts';
import type { Heard, RedisRead } from './contract.ts';
import type { PollReply, RedisOp } from './ops.ts';

export type Ask = (op: unknown) => Promise<unknown>;
export type Pause = (ms: number) => Promise<void>;

const RETRY_MS = 1000;
const ENDED: unique symbol = Symbol('ended');

/** A client is made without an environment: this is the one clock of its own, and only an outage makes it tick. */
const systemPause: Pause = ms => after(ms, undefined, { ref: false });

export class Subscription implements AsyncIterableIterator<Heard, void, void> {
  readonly #ask: Ask;
  readonly #what: RedisRead;
  readonly #signal: AbortSignal | undefined;
  readonly #pause: Pause;
  readonly #heard: AsyncGenerator<Heard, void, void>;
  /** The id, when it is known. */
  #opening: Promise<string> | null;
  #isEnded = false;
  /** Between the former subscription and this one there was none. */
  #hasMissed = false;
  /** Ends what the reader waits for. */
  #end: (() => void) | null = null;
  readonly #stop = (): void => {
    this.#isEnded = true;
    this.#end?.();
  };

  constructor(ask: Ask, what: RedisRead, signal: AbortSignal | undefined, pause: Pause = systemPause) {
    this.#ask = ask;
    this.#what = what;
    this.#signal = signal;
    this.#pause = pause;
    if (signal?.aborted) this.#isEnded = true;
    signal?.addEventListener('abort', this.#stop, { once: true });
    this.#opening = this.#isEnded ? null : this.#open();
    this.#heard = this.#hear();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Heard, void>> {
    return this.#heard.next();
  }

  /** Ends a `next` that waits, too. */
  async return(): Promise<IteratorResult<Heard, void>> {
    this.#stop();
    await this.#heard.next(); // a generator that was never begun does not come to its end by `return`
    return this.#heard.return();
  }

  async *#hear(): AsyncGenerator<Heard, void, void> {
    let seq = 0;
    try {
      while (!this.#isEnded) {
        const id = await this.#patiently(() => this.#id());
        if (id === ENDED) return;
        if (this.#hasMissed) {
          this.#hasMissed = false;
          seq = 0;
          yield { lost: 'unknown' };
          continue;
        }
        const reply = await this.#patiently(() => this.#poll(id, seq));
        if (reply === ENDED) return;
        if (reply === null) {
          this.#opening = null;
          this.#hasMissed = true;
          continue;
        }
        seq = reply.seq;
        for (const one of reply.heard) {
          if (this.#isEnded) return;
          yield one;
        }
      }
    } finally {
      this.#isEnded = true;
      this.#signal?.removeEventListener('abort', this.#stop);
      this.#leave();
    }
  }

  #open(): Promise<string> {
    const opening = this.#ask({ op: 'subscribe', what: this.#what } satisfies RedisOp) as Promise<string>;
    opening.catch(() => {}); // told when it is read
    return opening;
  }

  async #id(): Promise<string> {
    this.#opening ??= this.#open();
    try {
      return await this.#opening;
    } catch (error) {
      this.#opening = null;
      this.#hasMissed = true;
      throw error;
    }
  }

  async #poll(id: string, after: number): Promise<PollReply> {
    return (await this.#ask({ op: 'poll', id, after } satisfies RedisOp)) as PollReply;
  }

  /** Tries until there is an answer, or the end. Throws what trying again does not mend. */
  async #patiently<T>(attempt: () => Promise<T>): Promise<T | typeof ENDED> {
    while (!this.#isEnded) {
      try {
        return await this.#unlessEnded(attempt());
      } catch (error) {
        if (isKeymillError(error, 'RUNTIME_STOPPED')) break;
        const { class: its } = error as { class?: unknown };
        if (its !== 'transient' && its !== 'throttled') throw error;
      }
      await this.#unlessEnded(this.#pause(RETRY_MS));
    }
    return ENDED;
  }

  /** One wait at a time, so nothing is left hanging on a promise that lives as long as the subscription. */
  #unlessEnded<T>(promise: Promise<T>): Promise<T | typeof ENDED> {
    return new Promise((resolve, reject) => {
      this.#end = () => resolve(ENDED);
      promise.then(resolve, reject);
      if (this.#isEnded) resolve(ENDED);
    });
  }

  #leave(): void {
    this.#opening?.then(id => this.#ask({ op: 'unsubscribe', id } satisfies RedisOp)).catch(() => {}); // dropped in time without it
  }
}
