/** Consuming what is there, with an acknowledgement for each message. */
import type { Child } from '../lib/child.ts';
import { type Case, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import type { Broker } from './broker.ts';
import { cpp, java, ours, withBroker } from './contestants.ts';
import { type Consuming, checkConsumed, type Publishing, type Run } from './load.ts';
import { LOADS, type Load, loadsOf, messagesOf, rowsOfLoad } from './publish.ts';

const PREFETCH = 10_000;

/** Topics that are full, one for each number of messages that is wanted of a load. */
export class Filled {
  readonly #broker: Broker;
  readonly #child: Child;
  readonly #topics = new Map<string, string>();
  #subscriptions = 0;

  /** `child` is one of ours; it publishes. */
  constructor(broker: Broker, child: Child) {
    this.#broker = broker;
    this.#child = child;
  }

  /** Everyone reads the same entries, each by a subscription of its own. */
  async consume(child: Child, load: Load, messages: number, prefetch = PREFETCH, partitions = 0): Promise<Run> {
    const topic = await this.#topicOf(load, messages, partitions);
    const type = load.by === 'key' ? 'Key_Shared' : 'Exclusive';
    const subscription = `bench-${++this.#subscriptions}`;
    const run = await child.call<Run>('consume', { topic, subscription, type, messages, prefetch } satisfies Consuming);
    checkConsumed(run, messages, load.by === 'any' && partitions < 2);
    await this.#broker.expectAcknowledged(topic, subscription, partitions);
    return run;
  }

  async drop(): Promise<void> {
    for (const [name, topic] of this.#topics) await this.#broker.drop(topic, Number(name.split(' ')[1]));
    this.#topics.clear();
  }

  async #topicOf({ bytes, batch, batchBytes, keys, by }: Load, messages: number, partitions: number): Promise<string> {
    const name = `${messages} ${partitions}`;
    const found = this.#topics.get(name);
    if (found !== undefined) return found;
    const topic = await this.#broker.topic(partitions);
    const publishing: Publishing = { topic, messages, bytes, batch, batchBytes, keys, by };
    await this.#child.call('publish', publishing);
    await this.#broker.expectPublished(topic, messages, partitions);
    this.#topics.set(name, topic);
    return topic;
  }
}

export const consume: Case = {
  name: 'consume',
  tables: LOADS.map(({ name }) => `consume, ${name}`),
  about:
    'Topics that are full of messages of 200 B, published by keymill in batches of this size, read from the start by a subscription of each run’s own (Exclusive; for `100 keys` Key_Shared), 10,000 messages ahead. Each message is received by a call of its own and acknowledged by a call of its own, in no list. From subscribing to the last acknowledgement: with keymill that is when the broker has confirmed it, the official clients say so before they have sent it, as is their default. Numbers, order and sum must be right, and the broker must hold nothing unacknowledged afterwards.',
  run: bench =>
    withBroker(bench, async broker => {
      const contestants = [ours(broker), ...java(broker), ...cpp(broker)];
      const runs = new Map<Load, Samples<Run>>(loadsOf(bench).map(load => [load, new Map()]));
      await withWarm(bench, contestants, async children => {
        for (const [load, samples] of runs) {
          const filled = new Filled(broker, children[0]!);
          const sample = (child: Child, name: string): Promise<Run> =>
            filled.consume(child, load, messagesOf(bench, load, name));
          await takeTurns(bench, contestants, children, 2, new Map(), sample);
          await takeTurns(bench, contestants, children, bench.quick ? 2 : 6, samples, sample);
          await filled.drop();
        }
      });
      return [...runs].flatMap(([load, samples]) => rowsOfLoad(bench, 'consume', 'consumed', load, samples));
    }),
};
