/** Counters that outlive their thread, and the summary made of them. */
import { expect, it } from 'vitest';
import { SourceCounts } from '../../runtime/host/source-counts.ts';
import { DEAD, DONE, DROPPED } from '../../runtime/lanes/port.ts';
import { ACTOR_WORDS, Counts, SOURCE_WORDS, wordsOf } from '../../runtime/observe/counts.ts';
import { ActorStats } from '../../runtime/observe/stats.ts';
import { depthsIn, hottest, summarise } from '../../runtime/observe/summary.ts';
import { actorSnapshot, threadSnapshot } from './snapshots.ts';

/** Stats of one actor in a thread, as thread.ts sets them up. */
function statsIn(thread: Float64Array, actor: number): ActorStats {
  const stats = new ActorStats();
  stats.keepIn(wordsOf(thread, actor));
  return stats;
}

it('what an actor counted before it got its words is in them, and what it counts later', () => {
  const words = new Float64Array(ACTOR_WORDS);
  const stats = new ActorStats();
  stats.done++;
  stats.dropped.KeyFull += 2;
  stats.keepIn(words);
  stats.done += 4;
  stats.dead++;
  stats.dropped.DropNewest++;
  expect([...words]).toEqual([5, 1, 0, 0, 0, 0, 0, 1, 0, 2]);
  expect(stats.figures()).toMatchObject({
    enqueued: 0,
    done: 5,
    dead: 1,
    batches: 0,
    dropped: { DropOldest: 0, DropNewest: 1, DropWrite: 0, KeyFull: 2 },
    triggers: { size: 0, solo: 0 },
    depth: 0,
  });
});

it('counts of dead threads and living ones add up', () => {
  const counts = new Counts(['a', 'b'], 0);
  const first = counts.renew(1);
  const other = counts.renew(2);
  statsIn(first, 0).done += 10;
  statsIn(first, 1).retries += 1;
  statsIn(other, 0).done += 5;
  first[first.length - 1] = 7; // replayed
  expect(counts.perActor().get('a')).toMatchObject({ done: 15, retries: 0 });
  const second = counts.renew(1);
  expect(counts.perActor().get('a')).toMatchObject({ done: 15 });
  statsIn(second, 0).done += 100;
  second[second.length - 1] = 1;
  expect(counts.perActor().get('a')).toMatchObject({ done: 115 });
  expect(counts.perActor().get('b')).toMatchObject({ done: 0, retries: 1 });
  expect(counts.replayed).toBe(8);
});

it('a source that is read again counts every message once', () => {
  const counts = new Counts([], 2);
  const words = counts.sources.subarray(SOURCE_WORDS);
  const first = new SourceCounts(words, true);
  for (let n = 0; n < 10; n++) first.give();
  for (const outcome of [DONE, DONE, DEAD, DROPPED, DONE] as const) first.settle(outcome);
  first.keep([2, 1, 0]); // three of the five lie below the first that is not settled
  expect(counts.given).toEqual({ given: 10, done: 3, dead: 1, dropped: 1 });
  const second = new SourceCounts(words, true);
  expect(counts.given).toEqual({ given: 3, done: 2, dead: 1, dropped: 0 });
  for (let n = 0; n < 7; n++) second.give();
  for (let n = 0; n < 7; n++) second.settle(DONE);
  second.keep([7, 0, 0]);
  expect(second.figures).toEqual({ given: 7, done: 7, dead: 0, dropped: 0 });
  new SourceCounts(words, true);
  expect(counts.given).toEqual({ given: 10, done: 9, dead: 1, dropped: 0 });
});

it('a source that cannot be read again counts on', () => {
  const counts = new Counts([], 1);
  const first = new SourceCounts(counts.sources, false);
  first.give();
  first.give();
  first.settle(DONE);
  const second = new SourceCounts(counts.sources, false);
  second.give();
  second.settle(DEAD);
  expect(counts.given).toEqual({ given: 3, done: 1, dead: 1, dropped: 0 });
  expect(second.figures).toEqual({ given: 1, done: 0, dead: 1, dropped: 0 });
});

it('the summary is made of the counts of all threads, and of the depths of those that live', () => {
  const counts = new Counts(['a', 'io:x'], 1);
  const stats = statsIn(counts.renew(1), 0);
  stats.done += 8;
  stats.batches += 2;
  stats.dropped.DropOldest += 1;
  stats.dropped.KeyFull += 1;
  statsIn(counts.renew(2), 1).repeats += 3;
  counts.renew(1);
  const source = new SourceCounts(counts.sources, true);
  for (let n = 0; n < 9; n++) source.give();
  source.settle(DONE);
  const summary = summarise({
    seconds: 1.23456,
    depths: [depthsIn(threadSnapshot({ actors: { a: actorSnapshot({ depth: 3 }) } })), { a: 1 }, {}],
    counts,
    tells: [
      { given: 2, done: 1, dead: 1, dropped: 0 },
      { given: 1, done: 0, dead: 0, dropped: 1 },
    ],
    replayed: 10,
    threads: 2,
    restarts: 1,
    recoveries: [5.4, 20.6],
    failed: false,
  });
  expect(summary).toEqual({
    ok: true,
    seconds: 1.235,
    messages: 12,
    batches: 2,
    settled: { done: 2, dead: 1, dropped: 1 },
    perActor: { a: { handled: 8, batches: 2, dead: 0, dropped: 2, retries: 0, timeouts: 0, depth: 4 } },
    threads: 2,
    restarts: 1,
    repeats: 13,
    longestRecoveryMs: 21,
  });
});

it('the hottest keys are the deepest of all threads and actors, ten at most, cut and without secrets', () => {
  const hot = (key: string, depth: number) => ({ key, depth, ageMs: 1.6, failures: 1, state: 'ready' });
  const many = Array.from({ length: 8 }, (_, n) => hot(`k${n}`, n + 1));
  const found = hottest([
    threadSnapshot({ thread: 1, actors: { a: actorSnapshot({ hotKeys: many }), b: actorSnapshot() } }),
    threadSnapshot({ thread: 2, actors: { a: actorSnapshot({ hotKeys: [hot('x'.repeat(100), 50)] }) } }),
    threadSnapshot({
      thread: 3,
      actors: { 'io:out': actorSnapshot({ hotKeys: [hot('redis://u:hunter2@h', 40), hot('last', 0.5)] }) },
    }),
  ]);
  expect(found).toHaveLength(10);
  expect(found[0]).toEqual({
    actor: 'a',
    key: 'x'.repeat(64),
    host: 2,
    depth: 50,
    ageMs: 2,
    failures: 1,
    state: 'ready',
  });
  expect(found[1]).toMatchObject({ actor: 'io:out', depth: 40 });
  expect(found[1]!.key).not.toContain('hunter2');
  expect(found.slice(2).map(({ key }) => key)).toEqual(['k7', 'k6', 'k5', 'k4', 'k3', 'k2', 'k1', 'k0']);
});
