/**
 * Random interleavings of reads, loads, writes, deletions, invalidations, lost messages and outages: a reader never gets an older
 * version after a newer one, nothing waits for ever, and once all is quiet every thread says what the store says.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareVersions, type Version } from '../../runtime/index.ts';
import { type Outage, type Seat, world } from './support.ts';

const KEYS = ['a', 'b'];

type Act =
  | { readonly do: 'set' | 'delete' | 'get' | 'load' | 'invalidate'; readonly by: number; readonly key: string }
  | { readonly do: 'lose'; readonly by: number; readonly count: number }
  | { readonly do: 'outage'; readonly by: number; readonly kind: Outage }
  | { readonly do: 'pass'; readonly ms: number }
  /** keep: what stands there is noted. rewind: it stands there again, as after a failover that lost writes. */
  | { readonly do: 'settle' }
  | { readonly do: 'keep' }
  | { readonly do: 'rewind' };

const by = fc.nat(2);
const key = fc.constantFrom(...KEYS);
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom('set', 'delete', 'get', 'get', 'load', 'load', 'invalidate'), by, key }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose'), by, count: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('outage'),
      by,
      kind: fc.constantFrom<Outage>('none', 'none', 'refuses', 'hangs', 'forgets'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass'), ms: fc.constantFrom(1, 500, 3000, 31_000) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('settle') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('keep', 'rewind') }) },
) as fc.Arbitrary<Act>;

test('no version goes back before a reader, and after quiet all agree', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 5, maxLength: 60 }), async acts => {
      const { thread, environment, redis } = await world({
        hardTimeoutMs: 5000,
        l2: { timeoutMs: 1000 },
        leaseMs: 2000,
      });
      const seats = [thread(), thread(), thread()];
      const last = new Map<string, Version>();
      const problems: string[] = [];
      const open = new Set<string>();
      let written = 0;
      let asked = 0;
      const track = (what: string, promise: Promise<unknown>): void => {
        const name = `${what} ${++asked}`;
        open.add(name);
        promise.catch(() => {}).finally(() => open.delete(name));
      };
      const read = async (reader: number, name: string, begun: Version | undefined, entry: Promise<unknown>) => {
        const found = (await entry) as { version: Version | null; value: unknown } | undefined;
        if (!found?.version) return;
        // What a read gives must not be older than what any read that ended before it began gave.
        if (begun && compareVersions(found.version, begun) < 0)
          problems.push(`${reader} had ${JSON.stringify(begun)} of ${name}, then ${JSON.stringify(found.version)}`);
        const at = `${reader} ${name}`;
        const before = last.get(at);
        if (!before || compareVersions(found.version, before) > 0) last.set(at, found.version);
      };
      let kept: Awaited<ReturnType<typeof redis.getEntries>> = [];
      const names = KEYS.map(name => `cache:k:{${name}}`);
      const rewind = async (): Promise<void> => {
        for (const [i, { value, version }] of kept.entries()) {
          await redis.delete(names[i]!);
          if (value !== null) await redis.setVersioned(names[i]!, value, version!);
        }
      };
      const step = (one: Act): void | Promise<void> => {
        if (one.do === 'pass') return environment.advance(one.ms);
        if (one.do === 'settle') return environment.settle();
        if (one.do === 'keep')
          return redis.getEntries(names).then(entries => {
            kept = entries;
          });
        if (one.do === 'rewind') return rewind();
        const seat = seats[one.by]!;
        if (one.do === 'lose') return void (seat.losing = one.count);
        if (one.do === 'outage') return void (seat.outage = one.kind);
        const { cache } = seat;
        const begun = last.get(`${one.by} ${one.key}`);
        switch (one.do) {
          case 'set':
            return track('set', cache.set(one.key, ++written));
          case 'delete':
            return track('delete', cache.delete(one.key));
          case 'invalidate':
            return track('invalidate', cache.invalidate({ key: one.key, version: null }));
          case 'get':
            return track('get', read(one.by, one.key, begun, cache.getEntry(one.key)));
          case 'load':
            return track(
              'load',
              read(
                one.by,
                one.key,
                begun,
                cache.getOrSetEntry(one.key, () => `loaded ${++written}`),
              ),
            );
        }
      };
      for (const one of acts) await step(one);
      for (const seat of seats) {
        seat.outage = 'none';
        seat.losing = 0;
      }
      await environment.advance(10_000);
      expect([...open]).toEqual([]);
      await environment.advance(31_000);
      // One who knows of a version that the store has lost gives nothing, until it is loaded anew and above that.
      for (const [i, { cache }] of seats.entries())
        for (const name of KEYS)
          await read(
            i,
            name,
            last.get(`${i} ${name}`),
            cache.getOrSetEntry(name, () => `loaded ${++written}`),
          );
      await environment.advance(31_000);
      const all = (seat: Seat) => seat.cache.getMany(KEYS);
      const fresh = await all(thread());
      // A real store begins a new epoch when it has lost writes; here a version may come to be of two values.
      if (!acts.some(one => one.do === 'rewind')) for (const seat of seats) expect(await all(seat)).toEqual(fresh);
      for (const seat of seats) expect(seat.cache.stats().owed).toBe(0);
      expect(problems).toEqual([]);
    }),
    { numRuns: Number(process.env['RUNS'] ?? 400) },
  );
}, 60_000);
