/** The parts of the suite `redis` that need no server: its proof, what its callers ask, and the line that is a millisecond long. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Child } from '../../bench/lib/child.ts';
import { flood, type Item, itemOf, KEYS_OF_ITEMS, type Reader, read } from '../../bench/redis/cache-load.ts';
import { redis } from '../../bench/redis/index.ts';
import { askAll, checkRun, checkStored, KEYS, keyOf, type Load, lastOf, writtenBy } from '../../bench/redis/load.ts';

const LINE = new URL('../../bench/redis/line.ts', import.meta.url);
const load: Load = { what: 'setVersioned', asks: 5000, callers: 2, depth: 100 };

describe('the proof of a run', () => {
  it('refuses replies that are wrong or missing', () => {
    const run = { asks: 5000, right: 5000, ns: 1, cpuUs: 1 };
    checkRun(run, 5000);
    expect(() => checkRun({ ...run, right: 4999 }, 5000)).toThrow('5000 asks were made, 4999 answered right');
    expect(() => checkRun({ ...run, asks: 4999, right: 4999 }, 5000)).toThrow('5000 asks were made');
  });

  it('knows what the last writes leave', () => {
    const stored = new Map<string, { value: string; version: number }>();
    for (let n = 0; n < 2500; n++) stored.set(keyOf(1, n), { value: writtenBy(1, n), version: n + 1 });
    const expected = lastOf(load, 1);
    expect(expected).toHaveLength(KEYS);
    for (const { key, value, version } of expected) expect(stored.get(key)).toEqual({ value, version });
    expect(lastOf({ ...load, what: 'set', asks: 20 }, 0).map(({ version }) => version)).toEqual(Array(10).fill(null));
  });

  it('refuses another value or version at the server', () => {
    const expected = lastOf(load, 0);
    checkStored(expected, expected);
    const [first, ...rest] = expected;
    expect(() => checkStored(expected, [{ ...first!, value: 'x' }, ...rest])).toThrow(`at ${first!.key} stands x`);
    expect(() => checkStored(expected, [{ ...first!, version: 3 }, ...rest])).toThrow('of version 3');
  });
});

it('a caller asks list by list, each when the one before it is answered', async () => {
  const froms: number[] = [];
  let open = 0;
  const right = await askAll(
    async (_, caller, from) => {
      expect([caller, open++]).toEqual([1, 0]);
      froms.push(from);
      await Promise.resolve();
      open--;
      return 100;
    },
    { ...load, asks: 1000 },
    1,
  );
  expect(right).toBe(500);
  expect(froms).toEqual([0, 100, 200, 300, 400]);
});

describe('readers of caches', () => {
  const items = new Map<string, Item>(KEYS_OF_ITEMS.map((key, n) => [key, itemOf(n)]));
  const reader: Reader = {
    peek: key => items.get(key),
    get: key => items.get(key),
    getOrSet: async (key, loader) => items.get(key) ?? loader(),
  };

  it.each(['peek', 'get', 'getOrSet', 'together'] as const)('%s counts what is right', async how => {
    expect(await read(reader, { how, reads: 1000 })).toMatchObject({ asks: 1000, right: 1000 });
    const wrong: Reader = { peek: () => itemOf(-1), get: () => undefined, getOrSet: async () => undefined };
    expect(await read(wrong, { how, reads: 1000 })).toMatchObject({ asks: 1000, right: 0 });
  });

  it('fail where a loader is called for what is there', async () => {
    const empty: Reader = { getOrSet: (_key, loader) => loader() };
    await expect(read(empty, { how: 'getOrSet', reads: 100 })).rejects.toThrow('loaded what was there');
  });

  it('in a flood count the loads', async () => {
    const each: Reader = { getOrSet: (_key, loader) => loader() };
    expect(await flood(each, { key: 'nowhere', reads: 7, loadMs: 1 })).toMatchObject({ right: 7, loads: 7 });
  });
});

it('the line holds replies back, and passes on what came before the end', async () => {
  const server = createServer(socket => socket.on('data', chunk => socket.end(`<${chunk}>`)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const child = await Child.open(LINE, { port: (server.address() as AddressInfo).port, delayMs: 20 });
  onTestFinished(() => child.kill());
  const socket = connect(await child.call<number>('port'), '127.0.0.1');
  await once(socket, 'connect');
  const began = performance.now();
  socket.write('hello');
  let heard = '';
  for await (const chunk of socket) heard += chunk;
  expect(heard).toBe('<hello>');
  expect(performance.now() - began).toBeGreaterThanOrEqual(20);
  await child.close();
}, 30_000);

it('names of tables are used once', () => {
  const names = redis.flatMap(({ name, tables }) => tables ?? [name]);
  expect(new Set(names).size).toBe(names.length);
});
