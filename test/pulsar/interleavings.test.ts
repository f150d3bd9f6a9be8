/**
 * Random interleavings of publishing, taking, acknowledging, nacking, joining and leaving, on a clock that stands still: what
 * a subscription promises must hold after each step, for each type.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EmbeddedBus } from '../../actors/pulsar/bus/bus.ts';
import type { Consumer, InMessage, Producer, SubscriptionType } from '../../actors/pulsar/contract.ts';
import { type VirtualEnvironment, virtualEnvironment } from '../support/virtual-clock.ts';
import { BUS_OPTIONS, QUIET, settled } from './support.ts';

const NACK_MS = 100;
const KEYS = 3;

type Step =
  | { readonly do: 'publish'; readonly key: number; readonly count: number }
  | { readonly do: 'take' | 'ack' | 'late' | 'nack'; readonly who: number; readonly which: number }
  | { readonly do: 'join'; readonly prefetch: number; readonly name: string }
  | { readonly do: 'close' | 'redeliver'; readonly who: number }
  | { readonly do: 'pass' };

const which = { who: fc.nat(3), which: fc.nat(20) };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('publish'), key: fc.nat(KEYS - 1), count: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('take'), ...which }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('ack'), ...which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('nack'), ...which }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('join'),
      prefetch: fc.constantFrom(1, 2, 5, 1000),
      name: fc.constantFrom(...'abcdef'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('late'), ...which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close'), who: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('redeliver'), who: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass') }) },
) as fc.Arbitrary<Step>;

/** A subscription and what its consumers saw of it. */
class Scene {
  readonly environment: VirtualEnvironment = virtualEnvironment();
  readonly bus = new EmbeddedBus({ ...BUS_OPTIONS, file: ':memory:' }, this.environment, QUIET);
  readonly type: SubscriptionType;
  producer!: Producer;
  consumers: Consumer[] = [];
  /** Number of each message, by id, in the order of publishing; and its key. */
  readonly published = new Map<string, { readonly n: number; readonly key: string }>();
  /** With whom each message is. */
  readonly held = new Map<string, Consumer>();
  readonly nacked = new Set<string>();
  readonly acked = new Set<string>();
  readonly seen = new Set<string>();
  /** The highest message of each key that was seen. */
  readonly highest = new Map<string, number>();

  constructor(type: SubscriptionType) {
    this.type = type;
  }

  get keepsOrder(): boolean {
    return this.type !== 'Shared';
  }

  now<T>(promise: Promise<T>): Promise<T> {
    return settled(this.environment, promise);
  }

  async begin(): Promise<void> {
    this.producer = await this.now(this.bus.createProducer({ topic: 't' }));
    await this.join(1000, 'd');
  }

  async join(prefetch: number, name: string): Promise<void> {
    const { type } = this;
    if (this.consumers.length === 4 || (type === 'Exclusive' && this.consumers.length === 1)) return;
    const options = { topics: ['t'], subscription: 's', initialPosition: 'Earliest', nackDelayMs: NACK_MS } as const;
    this.consumers.push(await this.now(this.bus.subscribe({ ...options, type, name, prefetch })));
  }

  async publish(key: number, count: number): Promise<void> {
    const sent = Array.from({ length: count }, () => this.producer.send({ payload: 'x', key: `k${key}` }));
    for (const id of await this.now(Promise.all(sent)))
      this.published.set(id, { n: this.published.size, key: this.type === 'Key_Shared' ? `k${key}` : '' });
  }

  /** False when there is nothing to take now. */
  async take(consumer: Consumer): Promise<boolean> {
    const stop = new AbortController();
    const taking = consumer.receive(stop.signal).catch(() => null);
    await this.environment.settle();
    stop.abort();
    const message = await taking;
    if (message) this.#saw(consumer, message);
    return message !== null;
  }

  #saw(consumer: Consumer, { id }: InMessage): void {
    const { n, key } = this.published.get(id)!;
    expect(this.acked.has(id), `${id} was acknowledged before`).toBe(false);
    expect(this.held.has(id), `${id} is with a consumer`).toBe(false);
    if (this.type === 'Key_Shared')
      for (const [other, by] of this.held)
        if (this.published.get(other)!.key === key) expect(by, `${other} has the key of ${id}`).toBe(consumer);
    this.held.set(id, consumer);
    if (this.keepsOrder && !this.seen.has(id)) {
      expect(n, `${id} is the first of its key that was not seen`).toBeGreaterThan(this.highest.get(key) ?? -1);
      for (const [other, { n: before, key: its }] of this.published)
        if (its === key && before < n)
          expect(this.seen.has(other) || this.acked.has(other), `${other} before ${id}`).toBe(true);
      this.highest.set(key, n);
    }
    this.seen.add(id);
  }

  /** One of those that this consumer has. */
  #pick(consumer: Consumer, index: number): string | undefined {
    const its = [...this.held].filter(([, by]) => by === consumer).map(([id]) => id);
    return its[index % its.length];
  }

  /** `isLate`: of any message that was seen, also when it was given back meanwhile, or is with another. */
  async ack(consumer: Consumer, index: number, isLate: boolean): Promise<void> {
    const open = [...this.seen].filter(id => !this.acked.has(id));
    const id = isLate ? open[index % open.length] : this.#pick(consumer, index);
    if (id === undefined) return;
    await this.now(consumer.acknowledge([id]));
    this.held.delete(id);
    this.nacked.delete(id);
    this.acked.add(id);
  }

  nack(consumer: Consumer, index: number): void {
    const id = this.#pick(consumer, index);
    if (id === undefined || this.type === 'Exclusive' || this.type === 'Failover') return;
    consumer.negativeAcknowledge([id]);
    this.nacked.add(id);
  }

  letGo(isMeant: (id: string, by: Consumer) => boolean): void {
    for (const [id, by] of this.held)
      if (isMeant(id, by)) {
        this.held.delete(id);
        this.nacked.delete(id);
      }
  }

  async run(one: Step): Promise<void> {
    if (one.do === 'publish') return this.publish(one.key, one.count);
    if (one.do === 'join') return this.join(one.prefetch, one.name);
    if (one.do === 'pass') {
      this.letGo(id => this.nacked.has(id));
      return this.environment.advance(NACK_MS);
    }
    const consumer = this.consumers[one.who % this.consumers.length]!;
    if (one.do === 'take') return void (await this.take(consumer));
    if (one.do === 'ack' || one.do === 'late') return this.ack(consumer, one.which, one.do === 'late');
    if (one.do === 'nack') return this.nack(consumer, one.which);
    this.letGo((_id, by) => by === consumer);
    if (one.do === 'redeliver') return this.now(consumer.redeliver());
    if (this.consumers.length === 1) return undefined;
    this.consumers = this.consumers.filter(other => other !== consumer);
    return this.now(consumer.close());
  }

  /** Everything that is not acknowledged comes to who stays. */
  async end(): Promise<void> {
    for (const consumer of this.consumers) {
      this.letGo((_id, by) => by === consumer);
      await this.now(consumer.close());
    }
    this.consumers = [];
    await this.join(1000, 'd');
    while (await this.take(this.consumers[0]!));
    expect([...this.published.keys()].filter(id => !this.seen.has(id) && !this.acked.has(id))).toEqual([]);
    expect([...this.held.keys()].toSorted()).toEqual(
      [...this.published.keys()].filter(id => !this.acked.has(id)).toSorted(),
    );
    await this.now(this.bus.close());
    expect(this.environment.pendingTimers).toBe(0);
  }
}

test.each(['Shared', 'Key_Shared', 'Failover', 'Exclusive'] as const)(
  '%s: all messages come, none to two at once, none after it was acknowledged, and in order where it is kept',
  async type => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }), async steps => {
        const scene = new Scene(type);
        await scene.begin();
        for (const one of steps) await scene.run(one);
        await scene.end();
      }),
      { numRuns: 120 },
    );
  },
);
