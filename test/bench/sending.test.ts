/** What senders of rivals keep in flight, and what the command line and the metrics are read with. */
import { describe, expect, it } from 'vitest';
import { gauge } from '../../bench/engine/metrics.ts';
import { InFlight } from '../../bench/rivals/in-flight.ts';
import { Marks } from '../../bench/rivals/marks.ts';
import { choose } from '../../bench/run.ts';

describe('promises in flight', () => {
  it('make the sender wait from so many on, until one resolves', async () => {
    const flight = new InFlight(2);
    const calls = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    expect(flight.add(calls[0]!.promise, 1)).toBeUndefined();
    const room = flight.add(calls[1]!.promise, 1);
    calls[0]!.resolve();
    await room;
    calls[1]!.resolve();
    await flight.drained();
    expect(flight.done).toBe(2);
  });

  it('fail the drain when one of them failed', async () => {
    const flight = new InFlight(10);
    void flight.add(Promise.reject(new Error('lost')), 1);
    await expect(flight.drained()).rejects.toThrow('lost');
  });
});

describe('marks', () => {
  it('bound a queue by messages', () => {
    let posted = 0;
    const marks = new Marks(() => posted++);
    let sent = 0;
    while (marks.sent(0) === undefined) sent++;
    expect(sent + 1).toBe(81_920);
    expect(posted).toBe(80);
  });

  it('bound a queue by bytes, and let go when a mark comes back', async () => {
    const marks = new Marks(() => undefined);
    let room: Promise<void> | undefined;
    let bytes = 0;
    while (room === undefined) {
      room = marks.sent(65_536);
      bytes += 65_536;
    }
    expect(bytes).toBe(64 * 2 ** 20);
    marks.returned();
    await room;
  });
});

describe('the command line', () => {
  it('takes a suite, a case of it, or everything', () => {
    const all = choose([]);
    const suites = [...new Set(all.map(({ suite }) => suite))];
    expect(choose(suites)).toEqual(all);
    expect(choose(['engine']).every(({ suite }) => suite === 'engine')).toBe(true);
    expect(choose(['engine/slow-key', 'engine/micro']).map(({ one }) => one.name)).toEqual(['slow key', 'micro']);
    expect(() => choose(['engine/fast'])).toThrow(
      `no suite engine/fast; there are ${suites.join(', ')}, engine/settled-tells`,
    );
  });

  it('knows each case of a suite by a name of its own, and each table', () => {
    const names = choose([]).map(({ suite, one }) => `${suite}/${one.name}`);
    expect(new Set(names).size).toBe(names.length);
    const tables = choose([]).flatMap(({ suite, one }) => (one.tables ?? [one.name]).map(table => `${suite}/${table}`));
    expect(new Set(tables).size).toBe(tables.length);
  });
});

it('a metric is summed over the samples that have its labels', () => {
  const text = [
    '# HELP queue_depth x',
    'queue_depth{actor="a",thread="1"} 3',
    'queue_depth{actor="a",thread="2"} 4',
    'queue_depth{actor="b"} 100',
    'queue_depth_other{actor="a"} 1000',
    'plain 7.5',
  ].join('\n');
  expect(gauge(text, 'queue_depth', { actor: 'a' })).toBe(7);
  expect(gauge(text, 'queue_depth')).toBe(107);
  expect(gauge(text, 'plain')).toBe(7.5);
  expect(gauge(text, 'missing')).toBe(0);
});
