/**
 * The I/O actor itself: publishes, polls of consumers and readers, and its source half, over whatever driver it has.
 *
 * A publish is not idempotent by itself: after a crash of this thread, what was published and not answered is published
 * again. Where that matters, `deduplication`, a `producerName` and a `sequenceId` of the caller's make it so.
 */
import {
  describe,
  type IoContext,
  type IoMetric,
  type IoReply,
  type IoResource,
  isKeymillError,
  KeymillError,
  type SourceHalf,
} from '../../runtime/index.ts';
import { isPulsarOp, type Opened, type OpenOp, type Polled, type PulsarOp, type Settled } from './asks.ts';
import type { Consumer, MessageId, Producer, PulsarDriver, Reader } from './contract.ts';
import { Meters } from './meters.ts';
import { type PulsarOptions, parseRead } from './options.ts';
import { ProducerPool } from './producer-pool.ts';
import { Session } from './session.ts';
import { PulsarSource } from './source.ts';

export class PulsarResource implements IoResource {
  readonly #driver: PulsarDriver;
  readonly #options: PulsarOptions;
  readonly #context: IoContext;
  readonly #pool: ProducerPool;
  readonly #meters: Meters;
  readonly #sessions = new Map<string, Session>();
  /** Sessions of another incarnation of this thread must not be taken for one of this. */
  readonly #nonce: string;
  #count = 0;
  readonly #draining = new AbortController();

  constructor(driver: PulsarDriver, options: PulsarOptions, context: IoContext) {
    this.#driver = driver;
    this.#options = options;
    this.#context = context;
    const { clock, random } = context.environment;
    this.#meters = new Meters(clock);
    this.#nonce = Math.floor(random() * 2 ** 40).toString(36);
    this.#pool = new ProducerPool(driver, clock, { name: options.producerName, idleMs: options.producerIdleMs });
  }

  /** The publishes of a topic begin in the order of their asks, all in this turn, so that they leave together. */
  handleBatch(asks: readonly unknown[], signal: AbortSignal): Promise<IoReply[]> {
    return Promise.all(
      asks.map(ask =>
        this.#answer(ask, signal).then(
          value => ({ value }),
          (error: unknown) => ({ error }),
        ),
      ),
    );
  }

  source(read: Record<string, unknown>): SourceHalf {
    return new PulsarSource(
      this.#driver,
      parseRead(read, `read of ${this.#context.name}`),
      this.#context,
      this.#meters,
    );
  }

  metrics(): readonly IoMetric[] {
    return this.#meters.metrics(this.#driver.numbers());
  }

  probe(): Promise<void> {
    return this.#driver.probe();
  }

  /** Loops in other threads end: they would wait for what a stopping runtime is not to begin. */
  drain(): void {
    this.#draining.abort();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map(session => session.close()));
    await this.#pool.close();
    await this.#driver.close();
  }

  async #answer(ask: unknown, signal: AbortSignal): Promise<unknown> {
    if (!isPulsarOp(ask))
      throw new KeymillError('RECORD_BROKEN', `not an ask of a pulsar I/O actor: ${describe(ask)}`, { class: 'fatal' });
    switch (ask.op) {
      case 'publish':
        return this.#publish(ask);
      case 'create':
        return this.#driver.createTopic(ask.topic, ask.partitions);
      case 'stats':
        return this.#driver.stats(ask.topic);
      case 'consume':
      case 'read':
        return this.#open(ask);
      case 'poll':
        return this.#poll(ask, signal);
      case 'settle':
        return this.#settle(ask);
    }
  }

  /** All are answered before one that failed is told of, or asking again would overtake the others. */
  #publish({ topic, messages, epoch }: Extract<PulsarOp, { op: 'publish' }>): Promise<MessageId[]> {
    const publishing = async (producer: Producer): Promise<MessageId[]> => {
      const sent = await Promise.allSettled(messages.map(message => this.#meters.publish(producer.send(message))));
      return sent.map(one => {
        if (one.status === 'rejected') throw one.reason;
        return one.value;
      });
    };
    return epoch === undefined ? this.#pool.use(topic, publishing) : this.#pool.useLed(topic, epoch, publishing);
  }

  async #open(ask: OpenOp): Promise<Opened> {
    let of: { consumer: Consumer } | { reader: Reader };
    try {
      of =
        ask.op === 'consume'
          ? { consumer: await this.#driver.subscribe(ask.options) }
          : { reader: await this.#driver.createReader(ask.options) };
    } catch (error) {
      if (!isKeymillError(error, 'CONSUMER_BUSY')) throw error;
      const { code, class: errorClass, message } = error;
      return { refused: { code, class: errorClass, message: message.replace(`${code}: `, '') } };
    }
    const name = `${this.#nonce}-${this.#count++}`;
    const ended = (): void => void this.#sessions.delete(name);
    const session = new Session(of, this.#context.environment, this.#meters, this.#options.consumerIdleMs, ended);
    this.#sessions.set(name, session);
    return { session: name };
  }

  async #poll({ session, isUpToEnd }: Extract<PulsarOp, { op: 'poll' }>, signal: AbortSignal): Promise<Polled> {
    const { signal: draining } = this.#draining;
    const ended: Polled = { messages: [], isEnd: true };
    if (draining.aborted) return ended;
    const polled = await (this.#sessions.get(session)?.poll(isUpToEnd, AbortSignal.any([signal, draining])) ?? {
      isGone: true as const,
    });
    return draining.aborted && 'messages' in polled && polled.messages.length === 0 ? ended : polled;
  }

  async #settle({ session: name, ids, isLast }: Extract<PulsarOp, { op: 'settle' }>): Promise<Settled> {
    const session = this.#sessions.get(name);
    if (!session) return { isGone: true };
    try {
      if (ids.length > 0) await session.acknowledge(ids);
    } catch (error) {
      if (!isKeymillError(error, 'CONSUMER_CLOSED')) throw error;
      return { isGone: true };
    }
    if (isLast) await session.close();
    return { isGone: false };
  }
}
