/** Group commit: what becomes one transaction, and who hears of it when it fails. */
import { expect, test } from 'vitest';
import { Committer, type Job, type Participant, type Transaction } from '../../actors/pulsar/bus/committer.ts';
import type { Store } from '../../actors/pulsar/bus/store.ts';
import { KeymillError } from '../../runtime/index.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';

/** A store that notes its transactions, and fails the next when told to. */
function scene() {
  const environment = virtualEnvironment();
  const story: string[] = [];
  const faults: unknown[] = [];
  const store = {
    transaction(write: () => void) {
      story.push('begin');
      write();
      const fault = faults.shift();
      if (fault) throw fault;
      story.push('commit');
    },
  } as unknown as Store;
  const committer = new Committer(store, environment);
  const job = (name: string, bytes = 1, run: (transaction: Transaction) => void = () => undefined): Job => ({
    bytes,
    run(transaction) {
      story.push(name);
      run(transaction);
    },
    done: () => story.push(`${name} done`),
    failed: error => story.push(`${name} failed: ${(error as Error).message}`),
  });
  const participant = (name: string): Participant => ({
    begin: () => story.push(`${name} begins`),
    write: () => story.push(`${name} writes`),
    committed: () => story.push(`${name} committed`),
    rolledBack: () => story.push(`${name} rolled back`),
  });
  return { environment, story, faults, committer, job, participant };
}

test('all that waits at the end of a turn is one transaction, in order, and answered after it', async () => {
  const { environment, story, committer, job, participant } = scene();
  const one = participant('one');
  committer.submit(job('a', 1, transaction => transaction.enlist(one)));
  committer.submit(job('b', 1, transaction => transaction.enlist(one)));
  expect(story).toEqual([]);
  await environment.settle();
  expect(story).toEqual(['begin', 'a', 'one begins', 'b', 'one writes', 'commit', 'a done', 'b done', 'one committed']);
});

test('a job that is refused fails alone', async () => {
  const { environment, story, committer, job } = scene();
  committer.submit(job('a'));
  committer.submit(
    job('b', 1, () => {
      throw new KeymillError('PRODUCER_FENCED', 'out');
    }),
  );
  committer.submit(job('c'));
  await environment.settle();
  expect(story).toEqual(['begin', 'a', 'b', 'c', 'commit', 'a done', 'b failed: PRODUCER_FENCED: out', 'c done']);
});

test('when a transaction fails, participants go back and all that waits fails with it', async () => {
  const { environment, story, faults, committer, job, participant } = scene();
  const one = participant('one');
  const large = 20 * 1024 * 1024;
  faults.push(new KeymillError('OUTPUT_FULL', 'no room'));
  committer.submit(job('a', large, transaction => transaction.enlist(one)));
  committer.submit(job('b')); // of the next transaction, but it must not overtake `a` when that is asked again
  await environment.settle();
  expect(story).toEqual([
    'begin',
    'a',
    'one begins',
    'one writes',
    'one rolled back',
    'a failed: OUTPUT_FULL: no room',
    'b failed: OUTPUT_FULL: no room',
  ]);
  expect(committer.wanted).toBe(large);
  story.length = 0;
  await environment.settle();
  expect(story).toEqual([]);
  committer.submit(job('a again'));
  await environment.settle();
  expect(story).toEqual(['begin', 'a again', 'commit', 'a again done']);
  expect(committer.wanted).toBe(0);
});

test('a transaction has a largest size; the rest follows, and draining commits all at once', async () => {
  const { environment, story, committer, job } = scene();
  const large = 10 * 1024 * 1024;
  for (const name of ['a', 'b', 'c']) committer.submit(job(name, large));
  await environment.settle();
  expect(story).toEqual(['begin', 'a', 'b', 'commit', 'a done', 'b done', 'begin', 'c', 'commit', 'c done']);
  story.length = 0;
  for (const name of ['d', 'e', 'f']) committer.submit(job(name, large));
  committer.drain();
  expect(story.filter(one => one === 'commit')).toHaveLength(2);
  await environment.settle();
  expect(story.filter(one => one === 'commit')).toHaveLength(2);
});
