/** Replicas that lead in turn and one topic, on the embedded bus. */
import { busAt } from '../pulsar/support.ts';
import { leaderTopics } from './leader-topics.ts';

leaderTopics('the embedded bus', () => {
  const bus = busAt(':memory:');
  return () => bus;
});
