/** Replicas that lead in turn and one topic, on a real Pulsar: each with a client of its own. */
import { describe } from 'vitest';
import { leaderTopics } from '../sql/leader-topics.ts';
import { skipped } from '../support/services.ts';
import { wireClient } from '../support/wire.ts';

describe.skipIf(skipped('pulsar'))('a real Pulsar', () => {
  leaderTopics('pulsar:', () => () => wireClient());
});
