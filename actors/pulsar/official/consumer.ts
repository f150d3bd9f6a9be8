/** A consumer of the official client. Messages are asked of it one at a time, when somebody waits: it holds those ahead itself. */
import { KeymillError } from '../../../runtime/index.ts';
import type { Consumer, InMessage, MessageId, StartPosition, SubscriptionType } from '../contract.ts';
import { compareIds, parseId } from '../message-id.ts';
import { Takers } from '../takers.ts';
import { nativeFault } from './faults.ts';
import { inMessage, nativeStart } from './messages.ts';
import type { NativeConsumer, NativeId, NativeMessage, NativePackage } from './native.ts';

export interface OfficialConsumerNeeds {
  readonly native: NativePackage;
  /** Subscribes, again where it was subscribed before. */
  subscribe(): Promise<NativeConsumer>;
  closed(consumer: OfficialConsumer): void;
}

export class OfficialConsumer implements Consumer {
  readonly subscription: string;
  readonly type: SubscriptionType;
  readonly #needs: OfficialConsumerNeeds;
  #native: NativeConsumer;
  readonly #takers = new Takers();
  /** Received, and nobody waited any more. */
  #kept: InMessage[] = [];
  /** Given and not acknowledged. The client acknowledges by its own ids only: of a batch, those know of each other. */
  readonly #held = new Map<MessageId, { readonly id: NativeId; readonly topic: string }>();
  /** For a message. */
  #isAsked = false;
  #moving: Promise<void> | null = null;
  #fault: KeymillError | null = null;
  #closing: Promise<void> | null = null;

  private constructor(
    subscription: string,
    type: SubscriptionType,
    needs: OfficialConsumerNeeds,
    native: NativeConsumer,
  ) {
    this.subscription = subscription;
    this.type = type;
    this.#needs = needs;
    this.#native = native;
  }

  /** Rejects as `subscribe` does. */
  static async open(
    subscription: string,
    type: SubscriptionType,
    needs: OfficialConsumerNeeds,
  ): Promise<OfficialConsumer> {
    return new OfficialConsumer(subscription, type, needs, await needs.subscribe());
  }

  get isConnected(): boolean {
    return this.#native.isConnected();
  }

  async receive(signal?: AbortSignal): Promise<InMessage> {
    signal?.throwIfAborted();
    this.#mustBeOpen();
    const kept = this.#takers.isEmpty ? this.#kept.shift() : undefined;
    if (kept) return kept;
    const waiting = this.#takers.wait(signal);
    this.#ask();
    return waiting;
  }

  async acknowledge(ids: readonly MessageId[]): Promise<void> {
    this.#mustBeOpen();
    await Promise.all(ids.map(id => this.#acknowledge(id)));
  }

  async acknowledgeCumulative(id: MessageId): Promise<void> {
    this.#mustBeOpen();
    if (this.type === 'Shared' || this.type === 'Key_Shared')
      throw this.#refused(`cumulative acknowledgement: ${this.type} gives messages to several consumers`);
    const held = this.#held.get(id);
    if (!held) return;
    await this.#native.acknowledgeCumulativeId(held.id).catch((error: unknown) => {
      throw nativeFault(error, this.subscription);
    });
    for (const [other, { topic }] of this.#held)
      if (topic === held.topic && compareIds(other, id) <= 0) this.#held.delete(other);
  }

  negativeAcknowledge(ids: readonly MessageId[]): void {
    this.#mustBeOpen();
    if (this.type === 'Exclusive' || this.type === 'Failover')
      throw this.#refused(`negative acknowledgement: it would change the order that ${this.type} keeps`);
    for (const id of ids) {
      const held = this.#held.get(id);
      if (held) this.#native.negativeAcknowledgeId(held.id);
    }
  }

  /** The client has no word for it: subscribing anew comes to the same. */
  async redeliver(): Promise<void> {
    this.#mustBeOpen();
    this.#moving ??= this.#subscribeAnew().finally(() => {
      this.#moving = null;
      this.#ask();
    });
    await this.#moving;
  }

  async seek(to: StartPosition): Promise<void> {
    this.#mustBeOpen();
    if (typeof to === 'object' && 'id' in to)
      throw new KeymillError(
        'CONFIG_INVALID',
        `subscription ${this.subscription}: driver pulsar-client cannot seek to a message, only to earliest, latest or a time`,
      );
    this.#forget();
    const moved =
      typeof to === 'object'
        ? this.#native.seekTimestamp(to.publishedAt)
        : this.#native.seek(nativeStart(to, this.#needs.native));
    await moved.catch((error: unknown) => {
      throw nativeFault(error, this.subscription);
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async unsubscribe(): Promise<void> {
    this.#mustBeOpen();
    try {
      await this.#native.unsubscribe();
    } catch (error) {
      throw nativeFault(error, this.subscription);
    }
    await this.close();
  }

  async #close(): Promise<void> {
    this.#takers.failAll(
      new KeymillError('CONSUMER_CLOSED', 'it was closed while a message was waited for, or before'),
    );
    this.#forget();
    await this.#moving?.catch(() => undefined);
    await this.#native.close().catch(() => undefined); // it ends with the connection
    this.#needs.closed(this);
  }

  async #subscribeAnew(): Promise<void> {
    this.#forget();
    try {
      await this.#native.close();
      this.#native = await this.#needs.subscribe();
      this.#isAsked = false;
    } catch (error) {
      this.#fault = nativeFault(error, this.subscription);
      this.#takers.failAll(this.#fault);
      throw this.#fault;
    }
  }

  #ask(): void {
    if (this.#isAsked || this.#moving || this.#closing || this.#takers.isEmpty) return;
    this.#isAsked = true;
    const native = this.#native;
    /** What one says that is given up is of no meaning: its messages come again. */
    const isOld = (): boolean => native !== this.#native || this.#moving !== null || this.#closing !== null;
    native.receive().then(
      message => {
        if (!isOld()) this.#take(message);
      },
      (error: unknown) => {
        if (isOld()) return;
        this.#isAsked = false;
        this.#takers.failAll(nativeFault(error, this.subscription));
      },
    );
  }

  #take(native: NativeMessage): void {
    this.#isAsked = false;
    const message = inMessage(native);
    this.#held.set(message.id, { id: native.getMessageId(), topic: message.topic });
    this.#kept.push(message);
    this.#takers.serve(() => this.#kept.shift());
    this.#ask();
  }

  async #acknowledge(id: MessageId): Promise<void> {
    parseId(id);
    const held = this.#held.get(id);
    if (!held) return;
    this.#held.delete(id);
    try {
      await this.#native.acknowledgeId(held.id);
    } catch (error) {
      if (!this.#held.has(id)) this.#held.set(id, held);
      throw nativeFault(error, this.subscription);
    }
  }

  /** What was given before is of no meaning any more. */
  #forget(): void {
    this.#kept = [];
    this.#held.clear();
  }

  #mustBeOpen(): void {
    if (this.#closing) throw new KeymillError('CONSUMER_CLOSED', `of subscription ${this.subscription}`);
    if (this.#fault) throw this.#fault;
  }

  #refused(what: string): KeymillError {
    return new KeymillError('ACK_REFUSED', `subscription ${this.subscription} refuses ${what}`);
  }
}
