/**
 * One producer a topic, made once however many ask for it at the same time, and closed when it is idle for long (P4). One that
 * has an epoch is made by its first message and stays, also when it was shut out: made anew, it would disturb its successor.
 */
import { type Clock, isKeymillError, KeymillError, type Timer } from '../../runtime/index.ts';
import type { Producer, PulsarDriver } from './contract.ts';
import { topicName } from './topic-name.ts';

export interface PoolOptions {
  /** Name of all its producers; made up where it is left out. */
  readonly name: string | undefined;
  readonly idleMs: number;
}

interface Entry {
  readonly producer: Promise<Producer>;
  users: number;
  usedAt: number;
}

interface Led {
  readonly epoch: number;
  readonly producer: Promise<Producer>;
}

export class ProducerPool {
  readonly #driver: PulsarDriver;
  readonly #clock: Clock;
  readonly #options: PoolOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #led = new Map<string, Led>();
  #timer: Timer | null = null;

  constructor(driver: PulsarDriver, clock: Clock, options: PoolOptions) {
    this.#driver = driver;
    this.#clock = clock;
    this.#options = options;
  }

  /** Rejects with TOPIC_INVALID, what making the producer rejects with, or as `run` does. */
  async use<T>(topic: string, run: (producer: Producer) => Promise<T>): Promise<T> {
    const entry = this.#entryOf(topicName(topic).full);
    entry.users++;
    try {
      return await run(await entry.producer);
    } finally {
      entry.users--;
      entry.usedAt = this.#clock.now();
    }
  }

  /** The same for an epoch: once a higher one came by, here or at the topic, it rejects with PRODUCER_FENCED. */
  async useLed<T>(topic: string, epoch: number, run: (producer: Producer) => Promise<T>): Promise<T> {
    const { full } = topicName(topic);
    let led = this.#led.get(full);
    if (led && epoch < led.epoch)
      throw new KeymillError('PRODUCER_FENCED', `${full}: epoch ${epoch} has ended, it is at ${led.epoch}`, {
        place: { at: full },
      });
    if (led?.epoch !== epoch) this.#led.set(full, (led = this.#lead(full, epoch, led)));
    return run(await led.producer);
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    const entries = [...this.#entries.values(), ...this.#led.values()];
    this.#entries.clear();
    this.#led.clear();
    await Promise.all(entries.map(entry => closed(entry)));
  }

  #entryOf(topic: string): Entry {
    const found = this.#entries.get(topic);
    if (found) return found;
    const producer = this.#driver.createProducer({ topic, name: this.#options.name });
    const entry: Entry = { producer, users: 0, usedAt: this.#clock.now() };
    this.#entries.set(topic, entry);
    producer.catch(() => this.#entries.delete(topic));
    this.#arm();
    return entry;
  }

  /** What was sent in the epoch before goes first. */
  #lead(topic: string, epoch: number, before: Led | undefined): Led {
    const make = () =>
      this.#driver.createProducer({ topic, name: this.#options.name, access: 'ExclusiveWithFencing', epoch });
    const producer = before ? closed(before).then(make) : make();
    const led: Led = { epoch, producer };
    producer.catch((error: unknown) => {
      if (this.#led.get(topic) === led && !isKeymillError(error, 'PRODUCER_FENCED')) this.#led.delete(topic);
    });
    return led;
  }

  #arm(): void {
    if (this.#timer !== null || this.#entries.size === 0) return;
    this.#timer = this.#clock.after(this.#options.idleMs, () => {
      this.#timer = null;
      const now = this.#clock.now();
      for (const [topic, entry] of this.#entries)
        if (entry.users === 0 && now - entry.usedAt >= this.#options.idleMs) {
          this.#entries.delete(topic);
          void closed(entry);
        }
      this.#arm();
    });
  }
}

/** What is lost with the connection need not be closed. */
async function closed({ producer }: Pick<Entry, 'producer'>): Promise<void> {
  await producer.then(one => one.close()).catch(() => undefined);
}
