/** What each codec makes of real records. */
import type { Child } from '../lib/child.ts';
import { type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import type { Broker } from './broker.ts';
import { ours, withBroker } from './contestants.ts';
import type { Consuming, Run } from './load.ts';
import type { CodecPublishing } from './ours.ts';
import { bytesOf, records } from './records.ts';

const CODECS = ['none', 'lz4', 'snappy', 'zstd', 'zlib'] as const;
const MESSAGES = { full: 200_000, quick: 40_000 };

/** The first four bytes of each. */
const BEGIN = records()[0]!.readUInt32BE();

interface CodecRun {
  readonly published: Run;
  readonly consumed: Run;
  /** With all that is around the payloads. */
  readonly storedBytes: number;
}

async function once(broker: Broker, child: Child, codec: string, messages: number): Promise<CodecRun> {
  const topic = await broker.topic();
  const load = { topic, messages, bytes: 0, batch: 1000, batchBytes: 1024 * 1024, keys: 0, by: 'any' } as const;
  const published = await child.call<Run>('publish', { ...load, codec, isFlights: true } satisfies CodecPublishing);
  const storedBytes = await broker.expectPublished(topic, messages);
  const consuming: Consuming = { topic, subscription: codec, type: 'Exclusive', messages, prefetch: 10_000 };
  const consumed = await child.call<Run>('consume', consuming);
  if (consumed.sum !== messages * BEGIN) throw new Error('what was received are not the flights that were sent');
  await broker.expectAcknowledged(topic, codec);
  await broker.drop(topic);
  return { published, consumed, storedBytes };
}

export const codecs: Case = {
  name: 'codecs',
  about:
    'Flights as examples/pulsar sends them, JSON of some 80 B each, in batches of 1000, each batch compressed as a whole. MB are millions of bytes of payload before compression; `size` is what the broker took for a byte of it, metadata included, which without a codec is more than 1.',
  run: bench =>
    withBroker(bench, async broker => {
      const contestants = CODECS.map(codec => ours(broker, codec));
      const messages = bench.quick ? MESSAGES.quick : MESSAGES.full;
      const bytes = bytesOf(messages);
      const samples: Samples<CodecRun> = new Map();
      await withWarm(bench, contestants, async children => {
        const sample = (child: Child, name: string): Promise<CodecRun> => once(broker, child, name, messages);
        await takeTurns(bench, contestants, children, 1, new Map(), sample);
        await takeTurns(bench, contestants, children, bench.quick ? 2 : 4, samples, sample);
      });
      const rows = (metric: string, unit: string, better: 'higher' | 'lower', figure: (run: CodecRun) => number) =>
        rowsOf(bench, codecs.name, { metric, unit, better }, figuresOf(samples, figure));
      return [
        ...rows('published', 'MB/s', 'higher', ({ published: { ns } }) => (bytes * 1000) / ns),
        ...rows('consumed', 'MB/s', 'higher', ({ consumed: { ns } }) => (bytes * 1000) / ns),
        ...rows('size', 'of payload', 'lower', ({ storedBytes }) => storedBytes / bytes),
        ...rows('CPU to publish', 'µs/message', 'lower', ({ published: { cpuUs } }) => cpuUs / messages),
        ...rows('CPU to consume', 'µs/message', 'lower', ({ consumed: { cpuUs } }) => cpuUs / messages),
      ];
    }),
};
