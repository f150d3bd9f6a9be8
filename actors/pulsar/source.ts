/**
 * The source half: a subscription whose messages are the records. What is decided here:
 *
 * - **Positions** are running numbers. They begin at the time of the opening in microseconds, so that they grow over
 *   restarts, and two messages never share one, nor an id made of it; the same message given again has another. Nothing
 *   can go on from a position: it is the subscription that remembers.
 * - **Acknowledged** one by one as they settle, whatever the type: a key that is held back pins nothing behind it, and after a
 *   crash only what did not settle comes again, in order.
 * - **Never nacked.** What fails is retried in place by the engine (DESIGN rule 15).
 * - **The end.** With `untilEnd` after a time of quiet. When the engine says that nothing more will come (`finish`), as
 *   soon as the subscription has no backlog, or after that time when that cannot be found out or is not ours alone.
 */
import {
  type IoContext,
  isKeymillError,
  KeymillError,
  type Position,
  type SourceHalf,
  type SourceRecord,
  type SourceTraits,
  type Timer,
} from '../../runtime/index.ts';
import type { Consumer, InMessage, MessageId, PulsarDriver } from './contract.ts';
import { jsonOf, textOf } from './delivery.ts';
import type { Meters } from './meters.ts';
import type { ReadOptions } from './options.ts';
import { Pump } from './pump.ts';

const POSITIONS_A_MS = 1000;
/** Pause before acknowledgements that failed are made again. */
const OWED_MS = 1000;

export class PulsarSource implements SourceHalf {
  readonly traits: SourceTraits;
  readonly #driver: PulsarDriver;
  readonly #options: ReadOptions;
  readonly #context: IoContext;
  readonly #meters: Meters;
  #consumer: Consumer | null = null;
  #pump: Pump | null = null;
  #next: Position;
  /** Given, by position, and not known to have settled; positions grow. */
  readonly #given = new Map<Position, MessageId>();
  /** Settled, and not acknowledged yet. */
  #owed: MessageId[] = [];
  #owedTimer: Timer | null = null;
  /** When something was given or settled last (`clock.now()`). */
  #stirredAt = 0;
  #isFinishing = false;

  constructor(driver: PulsarDriver, options: ReadOptions, context: IoContext, meters: Meters) {
    this.#driver = driver;
    this.#options = options;
    this.#context = context;
    this.#meters = meters;
    this.traits = { replayable: true, ordered: options.type !== 'Shared', contiguous: false, stable: false };
    this.#next = Math.floor(context.environment.clock.wall()) * POSITIONS_A_MS;
  }

  async *read(from: Position, signal: AbortSignal): AsyncGenerator<SourceRecord[], void, void> {
    this.#next = Math.max(this.#next, from);
    await this.#leave();
    const { topic, subscription, type, initialPosition, prefetch, deadLetter } = this.#options;
    const topics = typeof topic === 'string' ? [topic] : topic;
    const consumer = await this.#driver.subscribe({
      topics,
      subscription,
      type,
      initialPosition,
      prefetch,
      deadLetter,
    });
    this.#consumer = consumer;
    await this.#payOwed().catch(() => undefined); // before it is taken again
    const pump = new Pump(stop => consumer.receive(stop), this.#context.environment, this.#meters);
    this.#pump = pump;
    this.#stirredAt = this.#now();
    while (!signal.aborted && !pump.isStopped) {
      const messages = pump.take();
      if (messages.length > 0) yield this.#recordsOf(messages);
      else if (await this.#isOver(pump))
        return await this.#leave(); // what comes now is for others
      else await pump.wait(this.#patienceMs, signal);
    }
  }

  finish(): void {
    if (this.#isFinishing) return;
    this.#isFinishing = true;
    this.#pump?.wake();
  }

  async ack({ low, positions }: { readonly low: Position; readonly positions: readonly Position[] }): Promise<void> {
    this.#stirredAt = this.#now();
    for (const position of positions) this.#settled(position);
    // What lies below all that is open settled, too: a map may have passed over it.
    for (const position of this.#given.keys()) {
      if (position >= low) break;
      this.#settled(position);
    }
    await this.#payOwed();
    if (this.#isFinishing) this.#pump?.wake();
  }

  async close(): Promise<void> {
    this.#owedTimer?.cancel();
    try {
      await this.#payOwed();
    } finally {
      await this.#leave();
      this.#owedTimer?.cancel();
    }
  }

  #recordsOf(messages: readonly InMessage[]): SourceRecord[] {
    this.#stirredAt = this.#now();
    return messages.map(message => {
      const position = this.#next++;
      this.#given.set(position, message.id);
      const { orderingKey, key } = message;
      const shared = this.#options.type === 'Key_Shared' ? { sharedBy: orderingKey ?? key } : {};
      if (this.#options.as !== 'json') return { position, value: message, ...shared };
      try {
        return { position, value: jsonOf(message), ...shared };
      } catch (error) {
        if (!isKeymillError(error)) throw error;
        return { position, value: textOf(message), broken: error };
      }
    });
  }

  /** How long to wait for more before it may be the end. While something is open, its settling comes first. */
  get #patienceMs(): number {
    const { untilEnd, idleMs } = this.#options;
    if (!untilEnd && !this.#isFinishing) return Number.POSITIVE_INFINITY;
    const left = this.#stirredAt + idleMs - this.#now();
    return left > 0 ? left : Math.max(idleMs, 1);
  }

  async #isOver(pump: Pump): Promise<boolean> {
    if (!(this.#options.untilEnd || this.#isFinishing)) return false;
    if (this.#given.size > 0 || this.#owed.length > 0 || !pump.isEmpty) return false;
    if (this.#now() - this.#stirredAt >= this.#options.idleMs) return true;
    return this.#isFinishing && (await this.#hasNoBacklog()) && pump.isEmpty;
  }

  async #hasNoBacklog(): Promise<boolean> {
    const { topic, subscription } = this.#options;
    try {
      const all = await Promise.all([topic].flat().map(one => this.#driver.stats(one)));
      return all.every(stats => stats.subscriptions[subscription]?.backlog === 0);
    } catch {
      return false; // a time of quiet will tell
    }
  }

  #settled(position: Position): void {
    const id = this.#given.get(position);
    if (id === undefined) return;
    this.#given.delete(position);
    this.#owed.push(id);
  }

  /** What cannot be acknowledged now is owed: it is acknowledged with the next, or after a while. */
  async #payOwed(): Promise<void> {
    const ids = this.#owed;
    if (ids.length === 0 || !this.#consumer) return;
    this.#owed = [];
    try {
      await this.#consumer.acknowledge(ids);
      this.#meters.processed += ids.length;
    } catch (error) {
      this.#owed = [...ids, ...this.#owed];
      this.#owedTimer?.cancel();
      this.#owedTimer = this.#context.environment.clock.after(
        OWED_MS,
        () => void this.#payOwed().catch(() => undefined),
      );
      throw new KeymillError('IO_FAILED', `${this.#context.name}: messages could not be acknowledged yet`, {
        cause: error,
      });
    }
  }

  /** Before reading anew, and at the end: what is not acknowledged is the subscription's again. */
  async #leave(): Promise<void> {
    this.#pump?.stop();
    this.#pump = null;
    const consumer = this.#consumer;
    this.#consumer = null;
    await consumer?.close();
  }

  #now(): number {
    return this.#context.environment.clock.now();
  }
}
