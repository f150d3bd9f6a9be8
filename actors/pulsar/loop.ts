/**
 * The loops over `consume()` and `read()`, on the thread of the handler. A loop has a session in the I/O thread, which it
 * polls. When that is gone, for the thread was replaced or the loop stood still for too long, it opens another and goes
 * on: a consumer is then given again what it had not acknowledged, so what is here and not seen yet is dropped.
 */
import { KeymillError } from '../../runtime/index.ts';
import type { Opened, OpenOp, Polled, PulsarOp, Settled } from './asks.ts';
import type { Delivery, InMessage, MessageId } from './contract.ts';
import { deliveryOf, type Letter } from './delivery.ts';

export type Ask = (op: PulsarOp) => Promise<unknown>;

export interface LoopOptions {
  /** Makes the ask that opens a session, given the id of the message seen last, null for none. */
  open(last: MessageId | null): OpenOp;
  /** Asking for the next message acknowledges the one before. */
  readonly acknowledges: boolean;
  /** Ends where the topic ends. */
  readonly isUpToEnd: boolean;
  readonly letter?: Letter | undefined;
  readonly signal?: AbortSignal | undefined;
}

const DONE = { done: true, value: undefined } as const;

export class Loop implements AsyncIterator<Delivery, undefined> {
  readonly #ask: Ask;
  readonly #options: LoopOptions;
  /** Ends the wait of `#fill`: the signal is aborted, or an acknowledgement failed. */
  readonly #interrupt = (): void => this.#wake?.();
  #wake: (() => void) | null = null;
  #opening: Promise<void> | null = null;
  #session: string | null = null;
  /** Acknowledgements of before must reach the session before its first poll, or their messages come again. */
  #isFresh = true;
  #messages: readonly InMessage[] = [];
  #at = 0;
  #isEnd = false;
  #last: MessageId | null = null;
  /** Given, and not acknowledged: the next one was not asked for yet. */
  #current: MessageId[] = [];
  #acks: MessageId[] = [];
  #settling: Promise<void> | null = null;
  #fault: { readonly error: unknown } | null = null;
  #isOver = false;

  constructor(ask: Ask, options: LoopOptions) {
    this.#ask = ask;
    this.#options = options;
    options.signal?.addEventListener('abort', this.#interrupt, { once: true });
  }

  async next(): Promise<IteratorResult<Delivery, undefined>> {
    if (this.#isOver) return DONE;
    this.#acknowledgeCurrent();
    try {
      while (!this.#options.signal?.aborted) {
        if (this.#fault) throw this.#fault.error;
        const value = this.more();
        if (value) return { done: false, value };
        if (this.#isEnd) break;
        await this.#fill();
      }
    } catch (error) {
      this.#fault = null;
      await this.return().catch(() => undefined); // what led here says more
      throw error;
    }
    return this.return();
  }

  /** Another one that has come already; it is acknowledged with those that were given since `next`. */
  more(): Delivery | undefined {
    const message = this.#messages[this.#at];
    if (!message) return undefined;
    this.#at++;
    this.#last = message.id;
    if (this.#options.acknowledges) this.#current.push(message.id);
    return deliveryOf(message, this.#options.letter);
  }

  /** The loop was left: the message it has is not acknowledged. Rejects when an earlier one could not be. */
  async return(): Promise<IteratorResult<Delivery, undefined>> {
    if (this.#isOver) return DONE;
    this.#isOver = true;
    this.#current = [];
    this.#options.signal?.removeEventListener('abort', this.#interrupt);
    await this.#settle();
    const session = this.#session;
    if (session !== null) await this.#ask({ op: 'settle', session, ids: [], isLast: true }).catch(() => undefined); // it ends by itself then
    if (this.#fault) throw this.#fault.error;
    return DONE;
  }

  #acknowledgeCurrent(): void {
    if (this.#current.length === 0) return;
    this.#acks.push(...this.#current);
    this.#current = [];
    void this.#settle();
  }

  async #fill(): Promise<void> {
    if (this.#session === null) await this.#orInterrupted(this.#open());
    if (this.#isFresh) await this.#settle();
    const session = this.#session;
    if (session === null || this.#isInterrupted) return;
    this.#isFresh = false;
    const polled = await this.#orInterrupted(
      this.#ask({ op: 'poll', session, isUpToEnd: this.#options.isUpToEnd }) as Promise<Polled>,
    );
    if (polled === undefined || session !== this.#session) return;
    if ('isGone' in polled) return this.#lost(session);
    this.#messages = polled.messages;
    this.#at = 0;
    this.#isEnd = polled.isEnd;
  }

  /** Sends what is to be acknowledged, one ask at a time: a slow loop one by one, a fast one many together. Never rejects. */
  #settle(): Promise<void> {
    this.#settling ??= this.#settleAll();
    return this.#settling;
  }

  async #settleAll(): Promise<void> {
    await null; // it is kept before it can end
    try {
      while (this.#acks.length > 0) {
        if (this.#session === null) await this.#open();
        const session = this.#session!;
        const ids = this.#acks;
        this.#acks = [];
        const settled = (await this.#ask({ op: 'settle', session, ids, isLast: false })) as Settled;
        if (!settled.isGone) continue;
        this.#acks = [...ids, ...this.#acks];
        this.#lost(session);
      }
    } catch (error) {
      this.#fault ??= { error };
      this.#interrupt();
    }
    this.#settling = null; // in this very turn: what is added later must begin another, or it would not be sent
  }

  #open(): Promise<void> {
    this.#opening ??= this.#openSession().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #openSession(): Promise<void> {
    const opened = (await this.#ask(this.#options.open(this.#last))) as Opened;
    if ('refused' in opened) {
      const { code, message, class: errorClass } = opened.refused;
      throw new KeymillError(code, message, { class: errorClass });
    }
    this.#session = opened.session;
    this.#isFresh = true;
  }

  #lost(session: string): void {
    if (this.#session !== session) return;
    this.#session = null;
    this.#messages = [];
    this.#at = 0;
  }

  /** One at a time. Not Promise.race, which would keep a little of each wait as long as the loop lasts. */
  #orInterrupted<T>(promise: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      this.#wake = () => resolve(undefined);
      promise.then(resolve, reject);
      if (this.#isInterrupted) resolve(undefined);
    });
  }

  get #isInterrupted(): boolean {
    return this.#fault !== null || this.#options.signal?.aborted === true;
  }
}
