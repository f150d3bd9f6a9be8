/** Gaps in the invalidations that overtake a read: what was asked for before is suspect when it comes after. */
import { expect, test } from 'vitest';
import { type Seat, world } from './support.ts';

/** Reads of the store by this thread are answered, and the answers wait until `open`. */
function slowReads({ thread }: Seat): { open(): void; close(): void } {
  const { ask } = thread;
  let waiting: Promise<void> | null = null;
  let end = (): void => {};
  Object.assign(thread, {
    async ask(op: { readonly op: string }) {
      const reply = await ask(op);
      if (op.op === 'cache.read') await waiting;
      return reply;
    },
  });
  return {
    close() {
      waiting = new Promise(resolve => {
        end = resolve;
      });
    },
    open() {
      waiting = null;
      end();
    },
  };
}

async function withGap(seats: readonly [Seat, Seat], settle: () => Promise<void>): Promise<void> {
  const [a, b] = seats;
  const { gaps } = b.cache.stats().counts;
  b.losing = 1;
  await a.cache.set('k', 'new'); // the word of it is lost
  await settle();
  await a.cache.set('other', 'x'); // and the next tells of that
  await settle();
  expect(b.cache.stats().counts['gaps']).toBe(gaps! + 1);
}

test('a value that was read before a gap and comes after it is given once, and not again before it was confirmed', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  const reads = slowReads(b);
  await a.cache.set('k', 'old');
  await environment.settle();
  reads.close();
  const reading = b.cache.get('k');
  await environment.settle();
  await withGap([a, b], () => environment.settle());
  reads.open();
  expect(await reading).toBe('old'); // it was so when it was asked
  expect(b.cache.peek('k')).toBe(undefined);
  expect(b.cache.stats().suspects).toBe(1);
  expect(await b.cache.get('k')).toBe('new');
  expect(b.cache.peek('k')).toBe('new');
});

test('who asks after the gap does not join a read of before it', async () => {
  const { thread, environment } = await world();
  const [a, b] = [thread(), thread()];
  const reads = slowReads(b);
  await a.cache.set('k', 'old');
  await environment.settle();
  expect(await b.cache.get('k')).toBe('old');
  await environment.advance(31_000); // L1 is over: the next confirms by version
  reads.close();
  const before = b.cache.get('k');
  await environment.settle();
  await withGap([a, b], () => environment.settle());
  const after = [b.cache.get('k'), b.cache.getOrSet('k', () => 'loaded')];
  reads.open();
  expect(await before).toBe('old');
  expect(await Promise.all(after)).toEqual(['new', 'new']);
  expect(b.cache.peek('k')).toBe('new');
});
