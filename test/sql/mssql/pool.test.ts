/** The pool, over connections that are none: what is tried, reset, given up, and how long it is waited for. */
import { expect, onTestFinished, test } from 'vitest';
import { lostError } from '../../../actors/sql/mssql/errors.ts';
import { CLOSE_REASONS, MssqlMeters } from '../../../actors/sql/mssql/meters.ts';
import { type Link, Pool } from '../../../actors/sql/mssql/pool.ts';
import { type Environment, LatencyHistogram } from '../../../runtime/index.ts';
import { waitFor } from '../../contract/sql.ts';
import { environment, SILENT } from '../support.ts';

class FakeLink implements Link {
  isOpen = true;
  isDirty = false;
  openedAt = 0;
  usedAt = 0;
  tried = 0;
  resets = 0;
  fails = false;

  async run() {
    this.tried++;
    if (this.fails) throw lostError('here', 'gone');
    return { sets: [], rowCount: 0 };
  }

  async reset(): Promise<void> {
    this.resets++;
    if (this.fails) throw lostError('here', 'gone');
    this.isDirty = false;
  }

  close(): void {
    this.isOpen = false;
  }
}

function poolOf(more: Partial<ConstructorParameters<typeof Pool>[0]> = {}, open?: () => Promise<FakeLink>) {
  const links: FakeLink[] = [];
  let now = 0;
  const clock = { ...environment.clock, now: () => now };
  const meters = new MssqlMeters(clock);
  const pool = new Pool<FakeLink>(
    {
      min: 0,
      max: 2,
      acquireMs: 200,
      idleMs: 60_000,
      validateMs: 1000,
      maxLifeMs: 10_000,
      connectMs: 1000,
      at: 'here',
      ...more,
    },
    { ...environment, clock } as Environment,
    SILENT,
    open ??
      (async () => {
        const link = new FakeLink();
        link.openedAt = link.usedAt = now;
        links.push(link);
        return link;
      }),
    meters,
  );
  onTestFinished(() => pool.close());
  const metric = (name: string, label = ''): number => {
    const { value } = meters
      .metrics(pool.numbers)
      .find(one => one.name === name && (label === '' || Object.values(one.labels ?? {}).includes(label)))!;
    return typeof value === 'number' ? value : new LatencyHistogram(value as Float64Array).count;
  };
  return { pool, links, metric, at: (ms: number) => void (now = ms) };
}

test('no more are made than are needed, and those there are used again', async () => {
  const { pool, links } = poolOf();
  for (let i = 0; i < 5; i++) await pool.use(async () => undefined);
  expect(links).toHaveLength(1);
  await Promise.all([pool.use(async () => undefined), pool.use(async () => undefined)]);
  expect(links).toHaveLength(2);
  expect(pool.numbers).toEqual({ open: 2, used: 0, waiting: 0 });
});

test('one that was idle is tried, and replaced where it is gone', async () => {
  const { pool, links, at } = poolOf();
  await pool.use(async () => undefined);
  at(500);
  await pool.use(async () => undefined);
  expect(links[0]!.tried).toBe(0);
  at(2000);
  await pool.use(async link => expect(link).toBe(links[0]));
  expect(links[0]!.tried).toBe(1);
  links[0]!.fails = true;
  at(4000);
  await pool.use(async link => expect(link).not.toBe(links[0]));
  expect(links[0]!.isOpen).toBe(false);
});

test('one that is old, or was lost, is not used again', async () => {
  const { pool, links, at } = poolOf();
  await pool.use(async () => undefined);
  at(10_001);
  await pool.use(async link => void link.close());
  await pool.use(async () => undefined);
  expect(links).toHaveLength(3);
});

test('one whose session was changed is reset before the next has it', async () => {
  const { pool, links } = poolOf({ max: 2 });
  await pool.use(async link => void (link.isDirty = true));
  await waitFor(() => links[0]!.resets === 1);
  await pool.use(async link => {
    expect(link.isDirty).toBe(false);
    link.isDirty = true;
    link.fails = true;
  });
  await waitFor(() => !links[0]!.isOpen);
  await pool.use(async link => expect(link).not.toBe(links[0]));
});

test('where none is free in time it is said, and the next gets one', async () => {
  const { pool } = poolOf();
  const held = [await pool.acquire(), await pool.acquire()];
  await expect(pool.acquire()).rejects.toMatchObject({
    code: 'SQL_UNAVAILABLE',
    message: expect.stringContaining('no connection was free in 200 ms'),
  });
  const stop = new AbortController();
  const waiting = pool.acquire(stop.signal);
  stop.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'SQL_UNAVAILABLE' });
  for (const link of held) pool.release(link);
  await pool.use(async () => undefined);
});

test('what connecting says is told', async () => {
  const { pool } = poolOf({}, async () => {
    throw lostError('here', 'refused');
  });
  await expect(pool.acquire()).rejects.toMatchObject({ message: expect.stringContaining('refused') });
  await pool.close();
  await expect(pool.acquire()).rejects.toMatchObject({ message: expect.stringContaining('closed') });
});

test('it tells how many connections there are, and who waits for one', async () => {
  const { pool, metric } = poolOf();
  const numbers = (): number[] => [
    metric('sql_pool_connections', 'used'),
    metric('sql_pool_connections', 'free'),
    metric('sql_pool_waiting'),
  ];
  expect(numbers()).toEqual([0, 0, 0]);
  const held = [await pool.acquire(), await pool.acquire()];
  const third = pool.acquire();
  expect(numbers()).toEqual([2, 0, 1]);
  pool.release(held[0]!);
  pool.release(await third);
  pool.release(held[1]!);
  expect(numbers()).toEqual([0, 2, 0]);
  expect(metric('sql_pool_acquire_seconds')).toBe(3);
  expect(metric('sql_pool_opened_total')).toBe(2);
});

test('who got no connection is not among those that waited for one', async () => {
  const { pool, metric } = poolOf({}, async () => {
    throw lostError('here', 'refused');
  });
  await expect(pool.acquire()).rejects.toThrow('refused');
  expect([metric('sql_pool_acquire_seconds'), metric('sql_pool_opened_total')]).toEqual([0, 0]);
});

test('each that is closed is counted once, by its reason', async () => {
  const { pool, links, metric, at } = poolOf({ idleMs: 100 });
  const closed = (): Record<string, number> =>
    Object.fromEntries(CLOSE_REASONS.map(reason => [reason, metric('sql_pool_closed_total', reason)]));
  const none = { lost: 0, old: 0, unclean: 0, idle: 0, stopped: 0 };
  await pool.use(async link => link.close());
  await pool.use(async () => undefined);
  expect(closed()).toEqual({ ...none, lost: 1 });
  at(2000);
  links[1]!.fails = true; // found out when it is tried
  await pool.use(async () => undefined);
  expect(closed()).toEqual({ ...none, lost: 2 });
  at(20_000);
  await pool.use(async link => {
    link.isDirty = true;
    link.fails = true;
  });
  await waitFor(() => !links[3]!.isOpen);
  await pool.use(async () => undefined);
  expect(closed()).toEqual({ ...none, lost: 2, old: 1, unclean: 1 });
  await waitFor(() => !links[4]!.isOpen); // by the pool's own timer
  await pool.use(async () => undefined);
  await pool.close();
  expect(closed()).toEqual({ lost: 2, old: 1, unclean: 1, idle: 1, stopped: 1 });
  expect(metric('sql_pool_opened_total')).toBe(6);
});
