/** Subscriptions of the embedded store: slow readers, lost replies, threads that are replaced, outages; and the source half. */
import { expect, test } from 'vitest';
import { clientOf } from '../../actors/redis/client.ts';
import { IDLE_MS, MOST_SUBSCRIPTIONS, POLL_MS } from '../../actors/redis/hub.ts';
import type { Heard } from '../../actors/redis/index.ts';
import type { PollReply } from '../../actors/redis/ops.ts';
import { KeymillError } from '../../runtime/index.ts';
import type { SourceHalf } from '../../runtime/topology/define.ts';
import { errorFrom } from '../support/runtimes.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';
import { asker, opened } from './support.ts';

const { signal } = new AbortController();

async function take(messages: AsyncIterator<Heard>, count: number): Promise<unknown[]> {
  const taken: unknown[] = [];
  while (taken.length < count) {
    const { done, value } = await messages.next();
    if (done) break;
    taken.push('lost' in value ? value : value.message);
  }
  return taken;
}

test('a slow subscriber is told how many it lost, where they are missing, and hears on', async () => {
  const { client } = await opened({ url: 'memory:', subscriber: { maxMessages: 3 } });
  const slow = client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
  const quick = client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
  for (let n = 0; n < 10; n++) {
    expect(await client.publish('c', String(n))).toBe(2);
    expect(await take(quick, 1)).toEqual([String(n)]);
  }
  expect(await take(slow, 4)).toEqual(['0', '1', '2', { lost: 7 }]);
  const next = take(slow, 1);
  await client.publish('c', '10');
  expect(await next).toEqual(['10']);
  expect(await take(quick, 1)).toEqual(['10']);
});

test('the bytes that wait for a subscriber are bounded, but one message always fits', async () => {
  const { client } = await opened({ url: 'memory:', subscriber: { maxBytes: 2048 } });
  const messages = client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
  const large = 'x'.repeat(5000);
  await client.publish('c', large);
  await client.publish('c', 'small');
  expect(await take(messages, 2)).toEqual([large, { lost: 1 }]);
  for (let n = 0; n < 4; n++) await client.publish('c', new Uint8Array(600));
  const taken = await take(messages, 4);
  expect(taken.slice(0, 3)).toEqual(Array(3).fill(new Uint8Array(600)));
  expect(taken[3]).toEqual({ lost: 1 });
});

test('a poll that is made again gives the same again; one that finds nothing ends in time', async () => {
  const environment = virtualEnvironment();
  const { client, ask } = await opened({ url: 'memory:' }, environment);
  const value = async (op: unknown) => ((await ask(op))[0] as { value: unknown }).value;
  const id = (await value({ op: 'subscribe', what: { channel: 'c' } })) as string;
  const poll = (after: number) => value({ op: 'poll', id, after }) as Promise<PollReply>;
  const waiting = poll(0);
  await environment.advance(POLL_MS);
  expect(await waiting).toEqual({ seq: 0, heard: [] });
  await client.publish('c', '1');
  const first = { seq: 1, heard: [{ channel: 'c', message: '1' }] };
  expect(await poll(0)).toEqual(first);
  await client.publish('c', '2');
  expect(await poll(0)).toEqual(first);
  expect(await poll(1)).toEqual({ seq: 2, heard: [{ channel: 'c', message: '2' }] });
  const former = poll(2);
  const latter = poll(2);
  expect(await former).toEqual({ seq: 2, heard: [] });
  await client.publish('c', '3');
  expect((await latter)!.heard).toEqual([{ channel: 'c', message: '3' }]);
  await value({ op: 'unsubscribe', id });
  expect(await poll(3)).toBe(null);
});

test('a poll that waits holds nothing else up', async () => {
  const { client } = await opened({ url: 'memory:' });
  const messages = client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
  const next = messages.next();
  await client.set('a', '1');
  expect(await client.get('a')).toBe('1');
  await client.publish('c', 'x');
  expect((await next).value).toEqual({ channel: 'c', message: 'x' });
});

test('a subscription that nobody polls is dropped; its reader subscribes anew and knows that some may be lost', async () => {
  const environment = virtualEnvironment();
  const { client } = await opened({ url: 'memory:' }, environment);
  const left = client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
  const read = client.subscribe({ pattern: '*' })[Symbol.asyncIterator]();
  const waiting = read.next();
  expect(await client.publish('other', '')).toBe(1);
  expect(await client.publish('c', '1')).toBe(2);
  await waiting;
  const again = read.next();
  expect((await again).value).toEqual({ channel: 'c', message: '1' });
  const late = read.next();
  for (let passed = 0; passed < 2 * IDLE_MS; passed += POLL_MS) await environment.advance(POLL_MS);
  expect(await client.publish('c', '2')).toBe(1);
  expect((await late).value).toEqual({ channel: 'c', message: '2' });
  expect(await take(left, 1)).toEqual([{ lost: 'unknown' }]);
  expect(await client.publish('c', '3')).toBe(2);
  expect(await take(left, 1)).toEqual(['3']);
});

test('after its I/O thread was replaced it subscribes anew by itself', async () => {
  const environment = virtualEnvironment();
  let store = await opened({ url: 'memory:' }, environment);
  const client = clientOf(asker(() => store.resource));
  const messages = client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
  await client.publish('c', '1');
  expect(await take(messages, 1)).toEqual(['1']);
  const next = take(messages, 2);
  const former = store;
  store = await opened({ url: 'memory:' }, environment);
  await former.resource.close();
  await expect.poll(() => client.publish('c', '2')).toBe(1);
  expect(await next).toEqual([{ lost: 'unknown' }, '2']);
});

test('while the store does not answer it tries again, and misses nothing that is in its queue', async () => {
  const { resource } = await opened({ url: 'memory:' });
  const inner = asker(() => resource);
  let isDown = false;
  const pauses: number[] = [];
  const ask = (op: unknown) =>
    isDown && (op as { op: string }).op !== 'publish'
      ? Promise.reject(new KeymillError('BREAKER_OPEN', 'open'))
      : inner(op);
  const client = clientOf(ask, async ms => {
    pauses.push(ms);
    if (pauses.length === 3) isDown = false;
  });
  const messages = client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
  await client.publish('c', '1');
  expect(await take(messages, 1)).toEqual(['1']);
  isDown = true;
  await client.publish('c', '2');
  expect(await take(messages, 1)).toEqual(['2']);
  expect(pauses).toEqual([1000, 1000, 1000]);
  isDown = true;
  const late = client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
  pauses.length = 0;
  expect(await take(late, 1)).toEqual([{ lost: 'unknown' }]);
  isDown = true;
  pauses.length = 0;
  const stopping = new AbortController();
  const stopped = client.subscribe({ channel: 'c' }, { signal: stopping.signal })[Symbol.asyncIterator]();
  stopping.abort();
  expect(await stopped.next()).toEqual({ done: true, value: undefined });
});

test('it ends without an error when the runtime stops, and with one that trying again does not mend', async () => {
  const failing = (error: unknown) => clientOf(() => Promise.reject(error)).subscribe({ channel: 'c' });
  const stopped = failing(new KeymillError('RUNTIME_STOPPED', 'stopped'))[Symbol.asyncIterator]();
  expect(await stopped.next()).toEqual({ done: true, value: undefined });
  const broken = failing(new KeymillError('RECORD_BROKEN', 'odd'))[Symbol.asyncIterator]();
  expect(await errorFrom(broken.next())).toMatchObject({ code: 'RECORD_BROKEN' });
  expect(await broken.next()).toEqual({ done: true, value: undefined });
});

test('subscriptions are bounded, so that polls leave room for the data', async () => {
  const { ask, resource } = await opened({ url: 'memory:' });
  const subscribe = { op: 'subscribe', what: { channel: 'c' } };
  const replies = await ask(...Array(MOST_SUBSCRIPTIONS).fill(subscribe), subscribe);
  expect(replies.filter(reply => 'error' in reply)).toHaveLength(1);
  const [id] = replies as [{ value: string }];
  expect(replies.at(-1)).toEqual({ error: expect.objectContaining({ code: 'BULKHEAD_FULL', class: 'throttled' }) });
  const [, again] = await ask({ op: 'unsubscribe', id: id.value }, subscribe);
  expect(again).toHaveProperty('value');
  await resource.close();
  const [late] = await ask(subscribe);
  expect(late).toEqual({ error: expect.objectContaining({ code: 'RUNTIME_STOPPED' }) });
});

// ── source half ──────────────────────────────────────────────────────────────────────────────────────────────────────

interface Reading {
  readonly half: SourceHalf;
  readonly chunks: AsyncIterator<readonly { position: number; value: unknown }[]>;
}

function reading(half: SourceHalf, from: number, until: AbortSignal = signal): Reading {
  return { half, chunks: half.read(from, until)[Symbol.asyncIterator]() };
}

test('a source gives what is published from then on, numbered, until it is stopped', async () => {
  const { client, resource, logged } = await opened({ url: 'memory:', subscriber: { maxMessages: 2 } });
  await client.publish('c', 'before');
  const stop = new AbortController();
  const { chunks } = reading(resource.source!({ pattern: 'c*' }), 7, stop.signal);
  const first = chunks.next();
  await expect.poll(() => client.publish('c', '1')).toBe(1);
  expect((await first).value).toEqual([{ position: 7, value: { channel: 'c', message: '1' } }]);
  await client.publish('other', 'not heard');
  for (let n = 2; n < 6; n++) await client.publish(`c${n}`, Uint8Array.of(n));
  expect((await chunks.next()).value).toEqual([
    { position: 8, value: { channel: 'c2', message: Uint8Array.of(2) } },
    { position: 9, value: { channel: 'c3', message: Uint8Array.of(3) } },
  ]);
  expect(logged).toEqual([
    { level: 'warn', fields: { pattern: 'c*', lost: 2 }, text: expect.stringContaining('lost') },
  ]);
  const last = chunks.next();
  stop.abort();
  expect(await last).toEqual({ done: true, value: undefined });
  expect(await client.publish('c', 'nobody')).toBe(0);
});

test('a source that is to finish gives what is there and ends', async () => {
  const { client, resource } = await opened({ url: 'memory:' });
  const { half, chunks } = reading(resource.source!({ channel: 'c' }), 0);
  const first = chunks.next();
  await expect.poll(() => client.publish('c', '1')).toBe(1);
  await first;
  await client.publish('c', '2');
  half.finish!();
  expect((await chunks.next()).value).toMatchObject([{ value: { message: '2' } }]);
  expect(await chunks.next()).toEqual({ done: true, value: undefined });
  const waiting = reading(resource.source!({ channel: 'c' }), 0);
  const none = waiting.chunks.next();
  await expect.poll(() => client.publish('other', '1')).toBe(0);
  waiting.half.finish!();
  expect(await none).toEqual({ done: true, value: undefined });
});

test('a source that stood still for long reads on, and says that some may be lost; it ends with its store', async () => {
  const environment = virtualEnvironment();
  const { client, resource, logged } = await opened({ url: 'memory:' }, environment);
  const { chunks } = reading(resource.source!({ channel: 'c' }), 0);
  const first = chunks.next();
  await environment.settle();
  await client.publish('c', '1');
  await first;
  for (let passed = 0; passed < 2 * IDLE_MS; passed += POLL_MS) await environment.advance(POLL_MS);
  expect(await client.publish('c', 'lost')).toBe(0);
  const next = chunks.next();
  await environment.settle();
  expect(logged).toMatchObject([{ level: 'warn', text: expect.stringContaining('may be lost') }]);
  await client.publish('c', '2');
  expect((await next).value).toEqual([{ position: 1, value: { channel: 'c', message: '2' } }]);
  const last = chunks.next();
  await resource.close();
  expect(await last).toEqual({ done: true, value: undefined });
});
