/** A producer that is kept against one for each message. Ours only. */
import { type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import { ours, withBroker } from './contestants.ts';
import { MESSAGES_PER_SECOND, perSecond, type Run } from './load.ts';

const MESSAGES = { full: 400, quick: 100 };
const NAMES = ['pooled', 'one a message'];

export const producers: Case = {
  name: 'producers',
  about:
    'A message of 200 B after the other, each awaited: all by the producer that the pool keeps, or each by a producer that is made for it and closed after it, on the same connection.',
  run: bench =>
    withBroker(bench, async broker => {
      const contestants = NAMES.map(name => ours(broker, name));
      const samples: Samples<Run> = new Map();
      const messages = bench.quick ? MESSAGES.quick : MESSAGES.full;
      await withWarm(bench, contestants, async children => {
        const topic = await broker.topic();
        const sample = (child: (typeof children)[number], name: string): Promise<Run> =>
          child.call('oneByOne', { topic, messages, isPooled: name === NAMES[0] });
        await takeTurns(bench, contestants, children, 1, new Map(), sample);
        await takeTurns(bench, contestants, children, 4, samples, sample);
        await broker.expectPublished(topic, messages * 10);
        await broker.drop(topic);
      });
      const metric = { metric: 'published', ...MESSAGES_PER_SECOND };
      return rowsOf(bench, producers.name, metric, figuresOf(samples, perSecond), { subject: NAMES[0]! });
    }),
};
