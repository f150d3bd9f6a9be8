/** A subscription as a source: records, positions, acknowledgements, and its end. */
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { BusConsumer } from '../../actors/pulsar/bus/consumer.ts';
import type { InMessage, PulsarRead } from '../../actors/pulsar/index.ts';
import type { SourceRecord } from '../../runtime/index.ts';
import { KeymillError } from '../../runtime/index.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { type VirtualEnvironment, virtualEnvironment } from '../support/virtual-clock.ts';
import { opened, settled, text } from './support.ts';

const READ: PulsarRead = { topic: 't', subscription: 's', initialPosition: 'Earliest' };

/** A source over a bus, read in the background. */
async function scene(read: Partial<PulsarRead> = {}, url = 'memory:', from = 0) {
  const environment = virtualEnvironment();
  const { client, resource } = await opened({ url }, { environment });
  const now = <T>(promise: Promise<T>): Promise<T> => settled(environment, promise);
  const half = resource.source!({ ...READ, ...read });
  onTestFinished(() => now(Promise.resolve(half.close!())));
  const records: SourceRecord[] = [];
  const stop = new AbortController();
  let ended = false;
  const reading = (async () => {
    for await (const chunk of half.read(from, stop.signal)) records.push(...chunk);
    ended = true;
  })();
  await environment.settle();
  return {
    environment,
    client,
    resource,
    half,
    records,
    stop,
    reading,
    now,
    hasEnded: () => ended,
    publish: (...payloads: string[]) =>
      now(
        client.publishBatch(
          't',
          payloads.map(payload => ({ payload, key: payload })),
        ),
      ),
    /** As the engine does: what settled, and below what all did. */
    settle: (...positions: number[]) => now(Promise.resolve(half.ack!({ low: 0, positions }))),
    consumers: async () => (await now(client.stats('t'))).subscriptions['s']!.consumers,
    backlog: async () => (await now(client.stats('t'))).subscriptions['s']!.backlog,
  };
}

const positionsOf = (records: readonly SourceRecord[]): number[] => records.map(record => record.position);
const valuesOf = (records: readonly SourceRecord[]): (string | null)[] =>
  records.map(record => text(record.value as InMessage));

test('messages are records, with positions that grow from the time on; what settles is acknowledged', async () => {
  const { environment, records, publish, settle, backlog } = await scene();
  await publish('a', 'b', 'c');
  await environment.settle();
  expect(valuesOf(records)).toEqual(['a', 'b', 'c']);
  expect(records[0]!.value).toMatchObject({ topic: 'persistent://public/default/t', key: 'a', redeliveryCount: 0 });
  const first = environment.clock.wall() * 1000;
  expect(positionsOf(records)).toEqual([first, first + 1, first + 2]);
  expect(Number.isSafeInteger(first + 1e12)).toBe(true);
  await settle(first + 1);
  expect(await backlog()).toBe(2);
  await settle(first, first + 2, first + 1, 5);
  expect(await backlog()).toBe(0);
});

test('what a map passed over is acknowledged once all around it settled', async () => {
  const { environment, half, records, publish, backlog, now } = await scene();
  await publish('a', 'b', 'c');
  await environment.settle();
  const [a, , c] = positionsOf(records);
  await now(Promise.resolve(half.ack!({ low: a! + 1, positions: [a!] })));
  expect(await backlog()).toBe(2);
  await now(Promise.resolve(half.ack!({ low: c! + 1, positions: [c!] })));
  expect(await backlog()).toBe(0);
});

test.each([
  [undefined, true],
  ['Key_Shared', true],
  ['Exclusive', true],
  ['Failover', true],
  ['Shared', false],
] as const)('%s: replayable, ordered %s, acknowledged one by one', async (type, ordered) => {
  const { half } = await scene({ type });
  expect(half.traits).toEqual({ replayable: true, ordered, contiguous: false, stable: false });
});

test('as JSON: payloads parsed, tombstones null, and what is no JSON is broken', async () => {
  const { environment, client, records, now } = await scene({ as: 'json' });
  await now(client.publishBatch('t', [{ json: { n: 1 } }, { payload: null }, { payload: '{"n":' }, { payload: '' }]));
  await environment.settle();
  expect(records.map(record => record.value)).toEqual([{ n: 1 }, null, '{"n":', '']);
  expect(records.map(record => record.broken?.code)).toEqual([undefined, undefined, 'RECORD_BROKEN', 'RECORD_BROKEN']);
  expect(records[2]!.broken!.place.at).toMatch(/^persistent:\/\/public\/default\/t \d+:2:-1:-1$/);
});

test('when it is closed, what did not settle comes again to the next, under higher positions', async () => {
  const url = `file:${join(await tempFolder('pulsar'), 'bus.db')}`;
  const first = await scene({ type: 'Exclusive' }, url);
  await first.publish('a', 'b', 'c', 'd');
  await first.environment.settle();
  const [a, , c] = positionsOf(first.records);
  await first.settle(a!, c!);
  first.stop.abort();
  await first.now(first.reading);
  await first.now(Promise.resolve(first.half.close!()));
  await first.now(Promise.resolve(first.resource.close()));
  const second = await scene({ type: 'Exclusive' }, url, first.records.at(-1)!.position + 1e9);
  await second.environment.settle();
  expect(valuesOf(second.records)).toEqual(['b', 'd']);
  expect(positionsOf(second.records)).toEqual([1, 2].map(n => first.records.at(-1)!.position + 1e9 + n - 1));
});

test('read anew after a fault, it has one consumer still, and old positions settle', async () => {
  const it = await scene({ type: 'Exclusive' });
  await it.publish('a', 'b');
  await it.environment.settle();
  it.stop.abort();
  await it.now(it.reading);
  const again: SourceRecord[] = [];
  const stop = new AbortController();
  const reading = (async () => {
    for await (const chunk of it.half.read(0, stop.signal)) again.push(...chunk);
  })();
  await it.environment.settle();
  expect(valuesOf(again)).toEqual(['a', 'b']);
  expect(again[0]!.position).toBeGreaterThan(it.records.at(-1)!.position);
  await it.settle(it.records[0]!.position);
  expect(await it.backlog()).toBe(1);
  stop.abort();
  await it.now(reading);
});

test('an acknowledgement that fails is made again', async () => {
  const it = await scene();
  await it.publish('a', 'b');
  await it.environment.settle();
  const failing = vi.spyOn(BusConsumer.prototype, 'acknowledge');
  onTestFinished(() => failing.mockRestore());
  failing.mockRejectedValueOnce(new KeymillError('OUTPUT_FULL', 'no room'));
  const [a, b] = positionsOf(it.records);
  await expect(it.settle(a!)).rejects.toThrow('IO_FAILED');
  expect(await it.backlog()).toBe(2);
  await it.environment.advance(1000);
  expect(await it.backlog()).toBe(1);
  failing.mockRejectedValueOnce(new KeymillError('OUTPUT_FULL', 'no room'));
  await expect(it.settle(b!)).rejects.toThrow('IO_FAILED');
  await it.now(Promise.resolve(it.half.close!()));
  expect(await it.backlog()).toBe(0);
});

test('what is wrong with `read` is said', async () => {
  const { resource } = await opened({ url: 'memory:' });
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{}, /read of bus\.topic: .*read of bus\.subscription/],
    [{ ...READ, type: 'shared' }, /read of bus\.type/],
    [{ ...READ, ackTimeoutMs: 1 }, /Unrecognized key: "ackTimeoutMs"/],
  ];
  for (const [read, why] of wrong) expect(() => resource.source!(read)).toThrow(why);
});

describe('the end', () => {
  const advance = async (environment: VirtualEnvironment, ms: number): Promise<void> => environment.advance(ms);

  test('comes with untilEnd when nothing came and nothing settled for a while, and nothing is open', async () => {
    const { environment, records, publish, settle, hasEnded } = await scene({ untilEnd: true, idleMs: 2000 });
    await advance(environment, 1500);
    await publish('a', 'b');
    await advance(environment, 10_000);
    expect(hasEnded()).toBe(false); // both are open
    await settle(...positionsOf(records));
    await advance(environment, 1999);
    expect(hasEnded()).toBe(false);
    await publish('c');
    await advance(environment, 1999);
    await settle(records[2]!.position);
    await advance(environment, 2000);
    expect(hasEnded()).toBe(true);
    expect(valuesOf(records)).toEqual(['a', 'b', 'c']);
  });

  test('comes at once with untilEnd and idleMs where there was nothing', async () => {
    const { environment, hasEnded } = await scene({ untilEnd: true });
    await advance(environment, 999);
    expect(hasEnded()).toBe(false);
    await advance(environment, 1);
    expect(hasEnded()).toBe(true);
  });

  test('comes when the engine says so and there is no backlog, without waiting', async () => {
    const { environment, half, records, publish, settle, hasEnded, consumers } = await scene();
    await publish('a', 'b');
    await advance(environment, 60_000);
    half.finish!();
    half.finish!();
    await environment.settle();
    expect(hasEnded()).toBe(false);
    await settle(records[0]!.position);
    await environment.settle();
    expect(hasEnded()).toBe(false);
    await settle(records[1]!.position);
    await environment.settle();
    expect(hasEnded()).toBe(true);
    expect(await consumers()).toBe(0);
  });

  test('comes after a time of quiet when others hold the backlog', async () => {
    const { environment, client, half, records, publish, settle, hasEnded, now } = await scene({ type: 'Shared' });
    const other = client.consume({ topic: 't', subscription: 's', type: 'Shared' })[Symbol.asyncIterator]();
    const taking = other.next();
    await environment.settle();
    await publish('a', 'b');
    await now(taking);
    half.finish!();
    await settle(...positionsOf(records));
    expect(records).toHaveLength(1);
    await advance(environment, 999);
    expect(hasEnded()).toBe(false);
    await advance(environment, 1);
    expect(hasEnded()).toBe(true);
    await now(other.return!());
  });
});
