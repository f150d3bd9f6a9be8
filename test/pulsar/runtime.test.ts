/** The bus in a real runtime: a source, an actor and a sink on it, its thread coming and going, and loops in handlers. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { PulsarClient } from '../../actors/pulsar/index.ts';
import { type StartOptions, start } from '../../runtime/index.ts';
import { tempFolder } from '../support/temp-folder.ts';
import relay from './fixtures/relay.ts';

const KEYS = 7;
const PATIENT = { timeout: 15_000 };

async function opened(folder: string, options: StartOptions = {}) {
  const runtime = await start(relay, {
    threads: 2,
    dataDir: join(folder, 'data'),
    logLevel: 'silent',
    ...options,
    set: { 'io.bus.url': `file:${join(folder, 'bus')}`, ...options.set },
  });
  onTestFinished(async () => void (await runtime.stop({ graceMs: 0 })));
  return { runtime, bus: runtime.io<PulsarClient>('bus') };
}

const orders = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({ key: `c${(from + i) % KEYS}`, payload: String(from + i) }));

/** What was relayed: `first` is where each order stands first, per key in order. */
async function relayed(bus: PulsarClient): Promise<{ all: number[]; byKey: Map<string, number[]> }> {
  const all: number[] = [];
  const byKey = new Map<string, number[]>();
  for await (const { key, text } of bus.read({ topic: 'relayed', from: 'earliest' })) {
    const n = Number(text());
    if (all.includes(n)) continue; // given again
    all.push(n);
    byKey.set(key!, [...(byKey.get(key!) ?? []), n]);
  }
  return { all, byKey };
}

function expectInOrder(byKey: ReadonlyMap<string, readonly number[]>): void {
  for (const its of byKey.values()) expect(its).toEqual(its.toSorted((a, b) => a - b));
}

test('orders go from topic to topic, in order per key; all are settled and acknowledged', async () => {
  const { runtime, bus } = await opened(await tempFolder('pulsar'));
  for (let n = 0; n < 1000; n += 100) await bus.publishBatch('orders', orders(n, n + 100));
  await expect
    .poll(
      () =>
        bus.stats('relayed').then(
          stats => stats.messages,
          () => 0,
        ),
      PATIENT,
    )
    .toBe(1000);
  const { all, byKey } = await relayed(bus);
  expect(all.toSorted((a, b) => a - b)).toEqual(orders(0, 1000).map(order => Number(order.payload)));
  expectInOrder(byKey);
  await expect.poll(async () => (await bus.stats('orders')).subscriptions['relay']!.backlog, PATIENT).toBe(0);
  expect(await runtime.stop()).toEqual({ ok: true, unsettled: 0, spooled: 0, lost: 0 });
  expect(runtime.finalSummary).toMatchObject({ settled: { done: 1000, dead: 0, dropped: 0 } });
});

test('the I/O thread dies and comes again: every order is relayed, first in order, and the loops go on', async () => {
  const { runtime, bus } = await opened(await tempFolder('pulsar'));
  const following = bus.read({ topic: 'orders', from: 'earliest', follow: true })[Symbol.asyncIterator]();
  const seen: number[] = [];
  const follow = async (count: number): Promise<void> => {
    while (new Set(seen).size < count) seen.push(Number((await following.next()).value!.text()));
  };
  await bus.publishBatch('orders', orders(0, 300));
  await follow(300);
  const consuming = runtime.ask('consumes', { topic: 'orders', count: 400 });
  const exiting = runtime.io<{ exit(): Promise<void> }>('exiter').exit();
  await bus.publishBatch('orders', orders(300, 600));
  await exiting;
  await bus.publishBatch('orders', orders(600, 700));
  const wanted = orders(0, 700).map(order => Number(order.payload));
  await expect.poll(async () => (await relayed(bus)).all.toSorted((a, b) => a - b), PATIENT).toEqual(wanted);
  expectInOrder((await relayed(bus)).byKey);
  await expect.poll(async () => (await bus.stats('orders')).subscriptions['relay']!.backlog, PATIENT).toBe(0);
  // Publishes that were not answered may be there twice; what was answered is there.
  const consumed = (await consuming).map(Number);
  expect(consumed).toHaveLength(400);
  expect(new Set(consumed).size).toBeGreaterThan(200);
  await follow(700);
  await following.return!();
  expect(await runtime.stop()).toMatchObject({ ok: true, unsettled: 0, lost: 0 });
});

test('a process that goes on finds its topics, and what was not relayed', async () => {
  const folder = await tempFolder('pulsar');
  const first = await opened(folder, { set: { 'sources.orders.window.messages': 8 } });
  await first.bus.publishBatch('orders', orders(0, 200));
  await first.runtime.stop({ graceMs: 0 });
  const second = await opened(folder);
  await expect
    .poll(async () => (await relayed(second.bus)).all.toSorted((a, b) => a - b), PATIENT)
    .toEqual(orders(0, 200).map(order => Number(order.payload)));
  expect(await second.runtime.stop()).toMatchObject({ ok: true });
});

test('a source ends with what is there when nothing more will come', async () => {
  const { runtime, bus } = await opened(await tempFolder('pulsar'), {
    set: { 'sources.orders.read.untilEnd': true, 'sources.orders.read.idleMs': 300 },
  });
  await bus.publishBatch('orders', orders(0, 50));
  await runtime.settled();
  expect((await runtime.summary()).settled).toEqual({ done: 50, dead: 0, dropped: 0 });
  expect((await bus.stats('orders')).subscriptions['relay']!.backlog).toBe(0);
});

test('what comes in an epoch that has ended is dead at once, and keeps nothing else from the topic', async () => {
  const { runtime, bus } = await opened(await tempFolder('pulsar'));
  await runtime.tell('leads', { epoch: 2 }, { until: 'settled' });
  // More than the breaker takes for an outage.
  const late = Array.from({ length: 20 }, () => runtime.tell('leads', { epoch: 1 }, { until: 'settled' }));
  await Promise.allSettled(late);
  await runtime.tell('leads', { epoch: 2 }, { until: 'settled' });
  await runtime.tell('leads', { epoch: 3 }, { until: 'settled' });
  const { settled, perActor } = await runtime.summary();
  expect(settled).toEqual({ done: 3, dead: 20, dropped: 0 });
  expect(perActor['leads']).toMatchObject({ retries: 0 });
  const told: string[] = [];
  for await (const message of bus.read({ topic: 'led', from: 'earliest' })) told.push(message.text());
  expect(told).toEqual(['2', '2', '3']);
});
