/** Writes of a drain on the wire: how many calls they are, what fails alone, and what is never done twice. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { groupsOf } from '../../../actors/sql/mssql/groups.ts';
import type { WriteOp } from '../../../actors/sql/ops.ts';
import { LatencyHistogram } from '../../../runtime/index.ts';
import { errors, type Query, SqlError } from '../../support/tds/index.ts';
import { makePems } from '../../support/tds/pems.ts';
import { catalog, fakeServer, give, param, type Scripts } from './support.ts';
import { SMALL, type TableForm } from './tables.ts';

const insert = (...keys: number[]): WriteOp => ({
  op: 'insert',
  table: 't',
  rows: { columns: ['k', 'name'], values: keys.map(k => [k, `n${k}`]) },
});
const { signal } = new AbortController();

const rowsOf = (query: Query, index = 0): unknown[][] => JSON.parse(String(param(query, `kmRows${index}`)));

describe('a drain', () => {
  test('is one call for each run of one kind', async () => {
    const seen: { name: string; rows: unknown[][] }[] = [];
    const take = (name: string) => (query: Query, answer: { done(): void }) => {
      seen.push({ name, rows: rowsOf(query) });
      answer.done();
    };
    const server = await fakeServer({
      ...catalog(),
      insert: take('insert'),
      upsert: take('upsert'),
      remove: async (query, answer) => {
        seen.push({ name: 'remove', rows: rowsOf(query) });
        await give(answer, ['int', 'bigint'], [1, 1n]);
      },
    });
    const driver = server.driver();
    const upsert: WriteOp = { op: 'upsert', table: 't', rows: { columns: ['k', 'name'], values: [[1, 'x']] } };
    const remove = (k: number): WriteOp => ({ op: 'remove', table: 't', rows: { columns: ['k'], values: [[k]] } });
    const replies = await driver.write(
      [insert(1, 2), insert(3), upsert, remove(8), remove(9), { ...insert(4), context: 'x' } as WriteOp],
      signal,
    );
    expect(replies).toEqual(
      [{ rows: 2 }, { rows: 1 }, { rows: 1 }, { rows: 0 }, { rows: 1 }, { rows: 1 }].map(value => ({ value })),
    );
    expect(seen).toEqual([
      {
        name: 'insert',
        rows: [
          [0, 0, '1', 'n1'],
          [0, 1, '2', 'n2'],
          [1, 2, '3', 'n3'],
        ],
      },
      { name: 'upsert', rows: [[0, 0, '1', 'x']] },
      {
        name: 'remove',
        rows: [
          [0, 0, '8'],
          [1, 1, '9'],
        ],
      },
      { name: 'insert', rows: [[0, 0, '4', 'n4']] },
    ]);
    // One round trip each, once what is known is known.
    server.asked.length = 0;
    await driver.write([insert(5), insert(6)], signal);
    expect(server.asked).toEqual(['insert']);
  });

  test('of which one row is refused makes the others one by one', async () => {
    const stood = new Set<string>();
    const server = await fakeServer({
      ...catalog(),
      insert: (query, answer) => {
        const keys = rowsOf(query).map(row => String(row[2]));
        if (keys.some(key => stood.has(key)) || new Set(keys).size < keys.length)
          throw new SqlError(2627, 'Violation of PRIMARY KEY constraint.', { class: 14 });
        for (const key of keys) stood.add(key);
        answer.done();
      },
    });
    const replies = await server.driver().write([insert(1), insert(1), insert(2)], signal);
    expect(replies.map(reply => ('error' in reply ? (reply.error as { code: string }).code : 'done'))).toEqual([
      'done',
      'SQL_CONSTRAINT',
      'done',
    ]);
    expect([...stood]).toEqual(['1', '2']);
  });

  test('that hits a deadlock stops there, so that the order holds', async () => {
    let tries = 0;
    const server = await fakeServer({
      ...catalog(),
      insert: (_query, answer, { session }) => {
        if (++tries === 2) throw errors.deadlock(session.spid);
        answer.done();
      },
      upsert: () => expect.unreachable(),
    });
    const upsert: WriteOp = { op: 'upsert', table: 't', rows: { columns: ['k'], values: [[1]] } };
    const replies = await server.driver().write([insert(1), { ...insert(2), context: 'x' } as WriteOp, upsert], signal);
    expect(replies.map(reply => 'value' in reply)).toEqual([true, false, false]);
    expect(replies[2]).toMatchObject({ error: { code: 'SQL_UNAVAILABLE', class: 'transient' } });
  });

  test('is not tried once for each ask where nobody is let in', async () => {
    const server = await fakeServer(
      {},
      {
        open: session => {
          throw errors.loginFailed(session.login.user);
        },
      },
    );
    const upsert = (k: number): WriteOp => ({ op: 'upsert', table: `t${k}`, rows: { columns: ['k'], values: [[k]] } });
    const replies = await server.driver().write([upsert(1), upsert(2), upsert(3)], signal);
    expect(replies).toHaveLength(3);
    for (const reply of replies) expect(reply).toMatchObject({ error: { code: 'ACCESS_REFUSED' } });
    expect(server.tds.accepted).toBe(1);
  });

  test('with a wrong name says so before anything is sent', async () => {
    const server = await fakeServer({ ...catalog(), insert: (_query, answer) => answer.done() });
    const wrong: WriteOp = { op: 'insert', table: 't', rows: { columns: ['k', 'nam]e'], values: [[1, 'x']] } };
    const replies = await server.driver().write([wrong, insert(1)], signal);
    expect(replies).toMatchObject([{ error: { code: 'SQL_IDENTIFIER' } }, { value: { rows: 1 } }]);
  });
});

describe('a commit whose answer is lost', () => {
  /** A server that remembers the number each writer took, and what was inserted under it. */
  const remembering = () => {
    const state = { batch: 0n, rows: [] as string[] };
    const scripts: Scripts = {
      ...catalog(),
      insert: (query, answer) => {
        const batch = BigInt(String(param(query, 'kmBatch')));
        if (batch <= state.batch) throw new SqlError(51_001, 'keymill: this batch was done before');
        state.batch = batch;
        state.rows.push(...rowsOf(query).map(row => String(row[2])));
        answer.done();
      },
      done: (_query, answer) => give(answer, ['bigint', 'nvarchar(4000)'], [state.batch, null]),
    };
    return { state, scripts };
  };

  test.each(['after', 'before'] as const)('%s the server did it: rows exactly once', async when => {
    const { state, scripts } = remembering();
    const server = await fakeServer(scripts);
    const driver = server.driver();
    await driver.write([insert(0)], signal);
    server.tds.fault({
      on: seen => seen.sql.includes('keymill:insert'),
      ...(when === 'after' ? { breaks: { at: 3, by: 'reset' } } : { before: 'reset' }),
    });
    const ops = [insert(1), insert(2)];
    const first = await driver.write(ops, signal);
    expect(first).toMatchObject([{ error: { class: 'transient' } }, { error: { class: 'transient' } }]);
    // The engine retries the same asks.
    expect(await driver.write(ops, signal)).toEqual([{ value: { rows: 1 } }, { value: { rows: 1 } }]);
    await driver.write([insert(3)], signal);
    expect(state.rows).toEqual(['0', '1', '2', '3']);
  });

  test('keeps those together that shared a number, and apart from others', () => {
    const [a, b, c] = [insert(1), insert(2), insert(3)];
    const mark = {};
    const marks = new Map<WriteOp, object>([
      [a, mark],
      [b, mark],
    ]);
    expect(groupsOf([a, b, c], op => marks.get(op)).map(group => group.ops)).toEqual([[a, b], [c]]);
    expect(groupsOf([c, a, b], op => marks.get(op)).map(group => group.ops)).toEqual([[c], [a, b]]);
  });
});

describe('a transaction', () => {
  test('is one call, with its parameters apart, and tells what each statement changed', async () => {
    let seen: Query | undefined;
    const server = await fakeServer({
      transaction: async (query, answer) => {
        seen = query;
        await give(answer, ['nvarchar(max)'], ['2 0']);
      },
    });
    const op: WriteOp = {
      op: 'transaction',
      statements: [
        { sql: 'INSERT INTO t (k) VALUES (@k)', params: { k: 1 } },
        { sql: 'UPDATE t SET name = @k', params: { k: 'x' }, expectRows: 0 },
      ],
      context: 'job 7',
    };
    expect(await server.driver().write([op], signal)).toEqual([{ value: [{ rows: 2 }, { rows: 0 }] }]);
    expect(param(seen!, 'kmSql0')).toBe('WITH CHANGE_TRACKING_CONTEXT (@kmContext) INSERT INTO t (k) VALUES (@k)');
    expect([param(seen!, 'km0_k'), param(seen!, 'km1_k'), param(seen!, 'kmExpect1')].map(String)).toEqual([
      '1',
      'x',
      '0',
    ]);
    expect(seen!.sql).toContain("N'@k nvarchar(4000), @kmContext varbinary(128)'");
  });

  test('joins others asked for at once, and leaves them alone where one fails', async () => {
    const done: string[][] = [];
    const server = await fakeServer({
      transaction: async (query, answer) => {
        const texts = query.params.filter(one => /^@kmSql/.test(one.name)).map(one => String(one.value));
        if (texts.includes('bad'))
          throw new SqlError(51_002, 'keymill: another number of rows was changed than expected');
        done.push(texts);
        await give(answer, ['nvarchar(max)'], [texts.map((_, i) => i + 1).join(' ')]);
      },
    });
    const driver = server.driver();
    const op = (...texts: string[]): WriteOp => ({ op: 'transaction', statements: texts.map(text => ({ sql: text })) });
    expect(await driver.write([op('a', 'b'), op('c')], signal)).toEqual([
      { value: [{ rows: 1 }, { rows: 2 }] },
      { value: [{ rows: 3 }] },
    ]);
    const replies = await driver.write([op('d'), op('bad'), op('e')], signal);
    expect(replies.map(reply => 'value' in reply)).toEqual([true, false, true]);
    expect(done).toEqual([['a', 'b', 'c'], ['d'], ['e']]);
    // Not more than a call may hold.
    done.length = 0;
    await driver.write(
      Array.from({ length: 120 }, () => op('x')),
      signal,
    );
    expect(done.map(texts => texts.length)).toEqual([50, 50, 20]);
  });

  test('whose answer is lost is not made twice, and what it changed is known', async () => {
    let state: { batch: bigint; reply: string } = { batch: 0n, reply: '' };
    let made = 0;
    const server = await fakeServer({
      transaction: async (query, answer) => {
        const number = BigInt(String(param(query, 'kmBatch')));
        if (number <= state.batch) throw new SqlError(51_001, 'keymill: this batch was done before');
        state = { batch: number, reply: '7 8' };
        made++;
        await give(answer, ['nvarchar(max)'], ['7 8']);
      },
      done: (_query, answer) => give(answer, ['bigint', 'nvarchar(4000)'], [state.batch, state.reply]),
    });
    server.tds.fault({ on: seen => seen.sql.includes('keymill:transaction'), breaks: { at: 12, by: 'reset' } });
    const driver = server.driver();
    const ops: WriteOp[] = [{ op: 'transaction', statements: [{ sql: 'a' }, { sql: 'b' }] }];
    expect(await driver.write(ops, signal)).toMatchObject([{ error: { class: 'transient' } }]);
    expect(await driver.write(ops, signal)).toEqual([{ value: [{ rows: 7 }, { rows: 8 }] }]);
    expect(made).toBe(1);
  });

  test('with a context takes only what can have one', async () => {
    const server = await fakeServer();
    const op: WriteOp = { op: 'transaction', statements: [{ sql: 'EXEC p' }], context: 'x' };
    expect(await server.driver().write([op], signal)).toMatchObject([
      { error: { code: 'SQL_FAILED', class: 'fatal' } },
    ]);
    const long: WriteOp = { op: 'transaction', statements: [{ sql: 'DELETE t' }], context: 'ä'.repeat(65) };
    expect(await server.driver().write([long], signal)).toMatchObject([{ error: { code: 'SQL_TOO_LARGE' } }]);
  });
});

describe('deltas', () => {
  test('of one key are made one after the other, in one call', async () => {
    let seen: Query | undefined;
    const server = await fakeServer({
      ...catalog(),
      apply: async (query, answer) => {
        seen = query;
        await give(answer, ['int', 'tinyint'], [3, 2], [0, 0], [1, 0], [2, 1]);
      },
    });
    const delta = (k: number, n: number, data: Record<string, string | null> | null) => ({
      pk: { k },
      version: { epoch: 5, n },
      data,
    });
    const ops: WriteOp[] = [
      { op: 'apply', table: 't', deltas: [delta(1, 1, { name: 'a' }), delta(2, 1, { name: 'b' })] },
      { op: 'apply', table: 't', deltas: [delta(1, 2, null), delta(1, 1, { amount: '1' })] },
    ];
    expect(await server.driver().write(ops, signal)).toEqual([
      { value: ['applied', 'applied'] },
      { value: ['same', 'older'] },
    ]);
    expect([0, 1, 2].map(index => rowsOf(seen!, index))).toEqual([
      [
        [0, 0, '1', 'a', '[1]', '5', '1'],
        [0, 1, '2', 'b', '[2]', '5', '1'],
      ],
      [[1, 2, '1', '[1]', '5', '2']],
      [[1, 3, '1', '1', '[1]', '5', '1']],
    ]);
  });
});

test.each([
  ['in the clear', false],
  ['over TLS', true],
])('many rows go by a bulk load, %s', async (_how, isSecure) => {
  const pems = isSecure ? await makePems() : null;
  onTestFinished(async () => void (await pems?.remove()));
  const script = {
    ...catalog(),
    stage: (_query: Query, answer: { done(): void }) => answer.done(),
    insert: (query: Query, answer: { done(): void }) => {
      expect(query.sql).toContain('FROM #keymill_rows0 AS j');
      expect(param(query, 'kmRows0')).toBeUndefined();
      answer.done();
    },
  };
  const server = await fakeServer(script, pems ? { tls: pems.tls, isTlsForced: true } : {});
  const url = `mssql://sa:secret@localhost:${server.tds.port}/shop`;
  const many = insert(...Array.from({ length: 6000 }, (_, k) => k));
  const driver = server.driver(pems ? { url, tls: { ca: pems.caPath } } : {});
  expect(await driver.write([many], signal)).toEqual([{ value: { rows: 6000 } }]);
  const [rows, bytes, seconds] = ['sql_bulk_rows_total', 'sql_bulk_bytes_total', 'sql_bulk_seconds'].map(
    name => driver.metrics().find(one => one.name === name)!.value,
  );
  expect(rows).toBe(6000);
  expect(bytes).toBeGreaterThan(6000 * 20); // two numbers of 5 bytes, two texts with their lengths
  expect(new LatencyHistogram(seconds as Float64Array).count).toBe(1);
  expect(server.loaded[0]!.rows.rows).toHaveLength(6000);
  expect(server.loaded[0]!.rows.rows[5]).toEqual([0, 5, '5', 'n5']);
});

test('a table that was changed since it was looked at is looked at again', async () => {
  let form: TableForm = SMALL;
  const server = await fakeServer({
    ...catalog(() => form),
    insert: (query, answer) => {
      if (query.sql.includes('[name]') && form !== SMALL) throw new SqlError(207, "Invalid column name 'name'.");
      answer.done();
    },
  });
  const driver = server.driver();
  await driver.write([insert(1)], signal);
  form = {
    columns: [
      ['k', 'bigint', 8],
      ['title', 'nvarchar', 100],
    ],
    key: ['k'],
    stamp: 'stamp 2',
  };
  const replies = await driver.write([insert(2)], signal);
  expect(replies).toMatchObject([
    { error: { code: 'SQL_IDENTIFIER', message: expect.stringContaining('it has k, title') } },
  ]);
  const right: WriteOp = { op: 'insert', table: 't', rows: { columns: ['k', 'title'], values: [[3, 'x']] } };
  expect(await driver.write([right], signal)).toEqual([{ value: { rows: 1 } }]);
});
