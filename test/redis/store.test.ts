/** The embedded store by itself: what it promises beyond the conformance suite. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MOST_SCANS } from '../../actors/redis/embedded/scans.ts';
import type { Lease, Merge } from '../../actors/redis/index.ts';
import type { CompareAndSetOp, SetOp } from '../../actors/redis/ops.ts';
import { compareVersions, type Version } from '../../runtime/index.ts';
import { errorFrom } from '../support/runtimes.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';
import { opened } from './support.ts';

const v = (n: number, epoch = 1): Version => ({ epoch, n });
const valueIn = (reply: unknown) => (reply as { value: unknown }).value;

test('lives are those of the options where the call says nothing', async () => {
  const environment = virtualEnvironment();
  const options = { url: 'memory:', ttlMs: 1000, fieldsTtlMs: 3000, versionsMs: 8000 } as const;
  const { client } = await opened(options, environment);
  await client.set('value', '1');
  await client.setVersioned('versioned', '1', v(5));
  await client.merge({ key: 'fields', version: v(5), fields: { x: '1' } });
  await client.merge({ key: 'tombstone', version: v(5), isGone: true });
  const there = async () => {
    const fields = await client.getManyFields(['fields', 'tombstone']);
    const found = [await client.get('value'), await client.getVersioned('versioned'), ...fields];
    return found.map(one => one !== null);
  };
  const kept = async (n: number) => {
    const late = await client.multi([
      { do: 'setVersioned', key: 'versioned', value: 'late', version: v(n) },
      { do: 'merge', key: 'fields', version: v(n) },
      { do: 'merge', key: 'tombstone', version: v(n) },
    ]);
    return late.map(reply => (reply as { outcome: string }).outcome === 'older');
  };
  await environment.advance(999);
  expect(await there()).toEqual([true, true, true, true]);
  await environment.advance(1);
  expect(await there()).toEqual([false, false, true, true]);
  await environment.advance(2000);
  expect(await there()).toEqual([false, false, false, true]);
  await environment.advance(3000);
  expect(await there()).toEqual([false, false, false, false]);
  await environment.advance(1999);
  expect(await kept(4)).toEqual([true, true, true]);
  await environment.advance(1);
  expect(await kept(4)).toEqual([false, false, false]);
});

test('a lease that was forgotten is given again with a higher token', async () => {
  const environment = virtualEnvironment();
  const { client } = await opened({ url: 'memory:', versionsMs: 1000 }, environment);
  const first = (await client.acquire('l', 'me', 100))!;
  await environment.advance(5000);
  const second = (await client.acquire('l', 'me', 100))!;
  expect(second.token).toBeGreaterThan(first.token);
});

test('every write bears being asked for twice', async () => {
  const { client, ask } = await opened({ url: 'memory:' });
  const twice = async (op: unknown) => {
    const [first, again] = await ask(op, op);
    return [valueIn(first), valueIn(again)];
  };
  const absent: SetOp = { op: 'set', key: 'a', value: '1', ttlMs: null, id: 'this write' };
  expect(await twice(absent)).toEqual([true, true]);
  expect(await twice({ ...absent, id: 'another' })).toEqual([false, false]);
  const epoch = await client.epoch();
  const compared: CompareAndSetOp = {
    op: 'compareAndSet',
    key: 'b',
    expected: null,
    seen: undefined,
    above: null,
    value: '1',
    ttlMs: null,
    fence: null,
    id: 'this',
  };
  const written = { outcome: 'newer', version: { epoch, n: 1 } };
  expect(await twice(compared)).toEqual([written, written]);
  const lost = { outcome: 'older', version: { epoch, n: 1 } };
  expect(await twice({ ...compared, id: 'another' })).toEqual([lost, lost]);
  await client.compareAndSet('b', { epoch, n: 1 }, '2');
  expect(await twice(compared)).toEqual(Array(2).fill({ outcome: 'older', version: { epoch, n: 2 } }));
  const [lease, same] = (await twice({ op: 'acquire', name: 'l', holder: 'me', ttlMs: 1000 })) as [Lease, Lease];
  expect(same).toEqual(lease);
  expect(await twice({ op: 'release', lease })).toEqual([true, true]);
  expect(await twice({ op: 'renew', lease })).toEqual([false, false]);
});

test('merges of random versions, in random order and with repeats, end as one after the other would', async () => {
  const { client } = await opened({ url: 'memory:' });
  type Change = Pick<Merge, 'fields' | 'isWhole' | 'isGone'>;
  const fields = fc.dictionary(fc.constantFrom('x', 'y', 'z', '__proto__'), fc.option(fc.constantFrom('1', '2')));
  const change: fc.Arbitrary<Change> = fc.oneof(
    { weight: 5, arbitrary: fc.record({ fields }) },
    { weight: 2, arbitrary: fc.record({ fields, isWhole: fc.constant(true) }) },
    { weight: 1, arbitrary: fc.record({ isGone: fc.constant(true) }) },
  );
  const version = fc.record({ epoch: fc.integer({ min: 1, max: 3 }), n: fc.integer({ min: 1, max: 5 }) });
  const changes = fc.uniqueArray(fc.tuple(version, change), {
    minLength: 1,
    maxLength: 8,
    selector: ([{ epoch, n }]) => `${epoch} ${n}`,
  });
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      changes.chain(made => fc.tuple(fc.constant(made), fc.array(fc.constantFrom(...made), { maxLength: 10 }))),
      async ([made, repeats]) => {
        const key = `k${run++}`;
        for (const [its, rest] of [...repeats, ...made, ...repeats]) await client.merge({ key, version: its, ...rest });
        // The model: each in turn, on a plain map.
        const model = new Map<string, string>();
        let isGone = false;
        const inTurn = made.toSorted(([a], [b]) => compareVersions(a, b));
        for (const [, rest] of inTurn) {
          isGone = rest.isGone === true;
          if (isGone || rest.isWhole) model.clear();
          for (const [name, value] of Object.entries(rest.fields ?? {}))
            if (value === null) model.delete(name);
            else model.set(name, value as string);
        }
        const found = (await client.getFields(key))!;
        expect(Object.entries(found.fields).toSorted()).toEqual([...model].toSorted());
        expect([found.isGone, found.version]).toEqual([isGone, inTurn.at(-1)![0]]);
      },
    ),
    { numRuns: 500 },
  );
});

test('a lease never has two holders, and its tokens only rise', async () => {
  const step = fc.record({
    do: fc.constantFrom('acquire', 'renew', 'release', 'wait'),
    who: fc.constantFrom('a', 'b', 'c'),
    ms: fc.integer({ min: 1, max: 100 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
      const environment = virtualEnvironment();
      const { client, resource } = await opened({ url: 'memory:', versionsMs: 1000 }, environment);
      const held = new Map<string, { lease: Lease; until: number }>();
      let highest = 0;
      const now = () => environment.clock.now();
      for (const { do: what, who, ms } of steps) {
        const mine = held.get(who);
        const isMine = mine !== undefined && mine.until > now();
        const others = [...held].filter(([name, { until }]) => name !== who && until > now());
        expect(others.length).toBeLessThanOrEqual(1);
        if (what === 'wait') await environment.advance(ms);
        else if (what === 'acquire') {
          const lease = await client.acquire('l', who, ms);
          expect(lease === null).toBe(others.length > 0);
          if (lease === null) continue;
          if (isMine) expect(lease.token).toBe(mine.lease.token);
          else expect(lease.token).toBeGreaterThan(highest);
          highest = lease.token;
          held.set(who, { lease, until: now() + ms });
        } else if (mine !== undefined && what === 'renew') {
          expect(await client.renew(mine.lease)).toBe(isMine);
          if (isMine) held.set(who, { ...mine, until: now() + mine.lease.ttlMs });
        } else if (mine !== undefined) {
          expect(await client.release(mine.lease)).toBe(isMine);
          held.delete(who);
        }
      }
      await resource.close();
    }),
    { numRuns: 200 },
  );
});

test('who compares and sets at once: as many win as the version rises', async () => {
  const { client } = await opened({ url: 'memory:' });
  const round = fc.array(fc.constantFrom('expected', 'behind', 'null'), { minLength: 1, maxLength: 8 });
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(round, { maxLength: 6 }), async rounds => {
      const key = `k${run++}`;
      let won = 0;
      for (const who of rounds) {
        const found = await client.getVersioned(key);
        const behind = found && { ...found.version, n: found.version.n - 1 };
        const expected = { expected: found?.version ?? null, behind, null: null };
        const replies = await Promise.all(who.map(one => client.compareAndSet(key, expected[one], 'x')));
        won += replies.filter(reply => reply.outcome === 'newer').length;
      }
      expect((await client.getVersioned(key))?.version.n ?? 0).toBe(won);
    }),
    { numRuns: 200 },
  );
});

test('a full store refuses what needs more room, keeps what it has, and takes what frees some', async () => {
  const { client, resource } = await opened({ url: 'memory:', maxMemoryBytes: 64 * 1024 });
  const big = 'x'.repeat(3000);
  for (let n = 0; n < 10; n++) await client.set(`k${n}`, big);
  await client.merge({ key: 'f', version: v(1), fields: { x: '1' } });
  const full = await errorFrom(client.set('k10', big));
  expect(full).toMatchObject({ code: 'OUTPUT_FULL', class: 'transient' });
  expect(full.message).toContain('maxMemoryBytes is 65536');
  const steps = [{ do: 'set', key: 'small', value: '1' } as const, { do: 'set', key: 'k10', value: big } as const];
  expect(await errorFrom(client.multi(steps))).toMatchObject({ code: 'OUTPUT_FULL' });
  expect(await client.get('small')).toBe(null);
  const merge = { key: 'f', version: v(2), fields: { x: '2', y: big }, publish: { channel: 'c', message: '' } };
  expect(await errorFrom(client.merge(merge))).toMatchObject({ code: 'OUTPUT_FULL' });
  expect(await client.getFields('f')).toMatchObject({ fields: { x: '1' }, version: v(1) });
  await resource.probe!(); // reading and deleting work
  expect(await client.get('k9')).toBe(big);
  await client.set('k9', 'less');
  expect(await client.set('k10', big)).toBe(true);
  expect(await client.delete('k0')).toBe(1);
  expect((await client.merge(merge)).outcome).toBe('newer');
});

test('what is behind a refused ask of its key waits for it', async () => {
  const { client } = await opened({ url: 'memory:', maxMemoryBytes: 64 * 1024 });
  const asked = [client.set('a', 'x'.repeat(40_000)), client.set('a', 'later'), client.delete('a', 'b')];
  const [first, later, deleted] = await Promise.all(asked.map(errorFrom));
  expect(first).toMatchObject({ code: 'OUTPUT_FULL' });
  expect([later, deleted]).toEqual([first, first]);
  const free = [errorFrom(client.set('a', 'x'.repeat(40_000))), client.set('other', '1'), client.get('none')];
  expect((await Promise.all(free)).slice(1)).toEqual([true, null]);
});

test('asks that no store could do are refused by themselves', async () => {
  const { client, ask } = await opened({ url: 'memory:' });
  const odd = [
    null,
    'get',
    { op: 'flush' },
    { op: 'set', key: 5, value: '1', ttlMs: null, id: null },
    { op: 'set', key: 'a', value: 5, ttlMs: null, id: null },
    { op: 'set', key: 'a', value: '1', ttlMs: -1, id: null },
    { op: 'get', keys: [7] },
    { op: 'setVersioned', key: 'a', value: '1', version: { epoch: 1, n: Number.NaN }, ttlMs: null, fence: null },
    { op: 'multi', steps: [{ op: 'get', keys: [] }] },
    { op: 'acquire', name: 'l', holder: 'me', ttlMs: 0 },
    { op: 'publish', channel: 1, message: '' },
    { op: 'subscribe', what: {} },
    { op: 'epoch' },
  ];
  const replies = await ask(...odd);
  for (const reply of replies.slice(0, -1))
    expect(reply).toEqual({ error: expect.objectContaining({ code: 'RECORD_BROKEN', class: 'fatal' }) });
  expect(valueIn(replies.at(-1))).toBe(await client.epoch());
  const gone = client.merge({ key: 'f', version: v(1), isGone: true, fields: { x: '1' } });
  expect(await errorFrom(gone)).toMatchObject({ code: 'RECORD_BROKEN' });
});

test('a scan that was left for long, or begun in another life, is cut off; a page can be asked for again', async () => {
  const { client, ask } = await opened({ url: 'memory:' });
  const set = (key: string) => client.set(key, '1');
  await Promise.all(Array.from({ length: 1200 }, (_, n) => set(`k${n}`)));
  const scan = async (cursor: unknown) => (await ask({ op: 'scan', prefix: '', cursor }))[0] as { value: Page };
  interface Page {
    keys: string[];
    next: { id: string; page: number } | null;
  }
  const first = (await scan(null)).value;
  const second = (await scan(first.next)).value;
  expect((await scan(first.next)).value).toEqual(second);
  const third = (await scan(second.next)).value;
  expect(new Set([...first.keys, ...second.keys, ...third.keys]).size).toBe(1200);
  expect([second.next === null, third.next]).toEqual([false, null]);
  const left = client.scan('k');
  await left[Symbol.asyncIterator]().next();
  for (let n = 0; n < MOST_SCANS; n++) await scan(null);
  const rest = (async () => {
    for await (const _key of left);
  })();
  expect(await errorFrom(rest)).toMatchObject({ code: 'IO_FAILED', message: expect.stringContaining('cut off') });
});
