/** The embedded store in a real runtime: hosts ask, sources read, and its thread comes and goes. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Heard, RedisClient } from '../../actors/redis/index.ts';
import { type StartOptions, start } from '../../runtime/index.ts';
import { tempFolder } from '../support/temp-folder.ts';
import shop, { type Change } from './fixtures/shop.ts';

async function opened(options: StartOptions = {}, folder?: string) {
  const runtime = await start(shop, {
    threads: 2,
    dataDir: join(folder ?? (await tempFolder('redis')), 'data'),
    logLevel: 'silent',
    ...options,
  });
  onTestFinished(async () => void (await runtime.stop({ graceMs: 0 })));
  return { runtime, store: runtime.io<RedisClient>('store') };
}

const change = (row: string, n: number): Change => ({
  row,
  version: { epoch: 1, n },
  fields: { name: `${row} ${n}`, [`f${n % 3}`]: String(n) },
});

test('hosts count in it without losing one, and write rows that a source tells of', async () => {
  const { runtime, store } = await opened();
  const counts = await Promise.all(
    Array.from({ length: 100 }, (_, by) => runtime.ask('count', { shelf: `s${by % 3}`, by })),
  );
  expect(Math.max(...counts)).toBe(34);
  expect(await store.getManyVersioned(['s0', 's1', 's2'])).toMatchObject([
    { value: '34' },
    { value: '33' },
    { value: '33' },
  ]);
  const asked: Promise<string>[] = [];
  for (let n = 1; n <= 20; n++) for (const row of ['a', 'b']) asked.push(runtime.ask('change', change(row, n)));
  expect(new Set(await Promise.all(asked))).toEqual(new Set(['newer']));
  expect(await runtime.ask('change', change('a', 20))).toBe('same');
  expect(await runtime.ask('change', change('a', 19))).toBe('older');
  const { fields, versions } = (await store.getFields('row:a'))!;
  expect(fields).toEqual({ name: 'a 20', f0: '18', f1: '19', f2: '20' });
  expect(versions['f0']).toEqual({ epoch: 1, n: 18 });
  await expect.poll(() => runtime.ask('told', 'all')).toHaveLength(41);
  const numbers = Array.from({ length: 20 }, (_, i) => String(i + 1));
  const toldOf = (row: string, told: readonly string[]) =>
    told.filter(one => one.startsWith(row)).map(one => one.slice(2));
  const told = await runtime.ask('told', 'all');
  expect(toldOf('a', told)).toEqual([...numbers, '20']);
  expect(toldOf('b', told)).toEqual(numbers);
  const keys: string[] = [];
  for await (const key of store.scan('row:')) keys.push(key);
  expect(keys.toSorted()).toEqual(['row:a', 'row:b']);
  expect(await runtime.stop()).toMatchObject({ ok: true });
});

test('when its thread is replaced, subscribers hear on and know of the gap; memory: is another store, file: the same', async () => {
  for (const kind of ['memory:', 'file:'] as const) {
    const folder = await tempFolder('redis');
    const url = kind === 'file:' ? `file:${join(folder, 'store.db')}` : kind;
    const { runtime, store } = await opened({ set: { 'io.store.url': url } }, folder);
    const news = () => runtime.ask('listens', 'what did you hear?');
    await expect.poll(() => store.publish('news', 'early')).toBe(2); // each host
    await expect.poll(news).toContainEqual({ channel: 'news', message: 'early' });
    const epoch = await store.epoch();
    await store.set('a', '1');
    await runtime.io<{ exit(): Promise<void> }>('exiter').exit();
    expect(await store.get('a')).toBe(kind === 'file:' ? '1' : null);
    const now = await store.epoch();
    expect([now === epoch, now >= epoch]).toEqual([kind === 'file:', true]);
    await expect.poll(() => store.publish('news', 'late')).toBe(2);
    await expect.poll(news).toContainEqual({ channel: 'news', message: 'late' });
    const heard: readonly Heard[] = await news();
    const gap = heard.findIndex(one => 'lost' in one);
    expect(heard[gap]).toEqual({ lost: 'unknown' });
    expect(heard.findIndex(one => 'message' in one && one.message === 'late')).toBeGreaterThan(gap);
    expect(await runtime.stop()).toMatchObject({ ok: true });
  }
});
