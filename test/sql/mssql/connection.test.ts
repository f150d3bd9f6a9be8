/** One connection, by the real client over TCP: what is asked is answered, cancelled or given up, and never left open. */
import { describe, expect, test } from 'vitest';
import { batch, command, ownCommand } from '../../../actors/sql/mssql/command.ts';
import { waitFor } from '../../contract/sql.ts';
import { errors, SqlError } from '../../support/tds/index.ts';
import { fakeServer, give, param, type Scripts } from './support.ts';

/** Answers with the first row, and then not any more. */
const hanging = async (_query: unknown, answer: { signal: AbortSignal; flush(): unknown }): Promise<void> => {
  await answer.flush();
  await new Promise((_, reject) => answer.signal.addEventListener('abort', () => reject(answer.signal.reason)));
};

describe('an answer', () => {
  test('has all result sets, exact', async () => {
    const server = await fakeServer({
      'SELECT all': async (_query, answer) => {
        await give(
          answer,
          ['bigint', 'bigint', 'decimal(18,4)', 'money'],
          [9_007_199_254_740_993n, 2n, '12.5', '3.25'],
        );
        await give(
          answer,
          ['nvarchar(20)', 'varbinary(8)', 'bit', 'uniqueidentifier', 'float'],
          ['x', Buffer.from([1, 2]), true, '6F9619FF-8B86-D011-B42D-00C04FC964FF', 0.5],
          [null, null, null, null, null],
        );
      },
    });
    const connection = await server.connect();
    const { sets } = await connection.run(ownCommand('SELECT all', {}));
    expect(sets.map(set => set.rows)).toEqual([
      [[9_007_199_254_740_993n, 2, '12.5000', '3.2500']],
      [
        ['x', new Uint8Array([1, 2]), true, '6F9619FF-8B86-D011-B42D-00C04FC964FF', 0.5],
        [null, null, null, null, null],
      ],
    ]);
  });

  test('never has a decimal that lost digits on its way', async () => {
    const server = await fakeServer({
      'SELECT d': (_query, answer) => give(answer, ['decimal(38,10)'], ['12345678901234567890.0123456789']),
    });
    const connection = await server.connect();
    await expect(connection.run(ownCommand('SELECT d', {}))).rejects.toMatchObject({
      code: 'SQL_FAILED',
      message: expect.stringContaining('varchar'),
    });
    // The rest of the answer was cancelled, and the connection is of use.
    await connection.reset();
    expect((await connection.run(command('alive', 'SELECT 1;'))).sets[0]!.rows).toEqual([[1]]);
  });

  test('too long is cut off', async () => {
    const server = await fakeServer({
      'SELECT n': async (_query, answer) => {
        answer.columns([{ name: 'n', type: 'int' }]);
        for (let n = 0; n < 100_000; n++) await answer.row([n]);
        answer.done();
      },
    });
    const connection = await server.connect();
    const tooMany = new Error('too many');
    await expect(connection.run(ownCommand('SELECT n', {}), { maxRows: 10, tooMany: () => tooMany })).rejects.toBe(
      tooMany,
    );
    expect(connection.isOpen).toBe(true);
  });
});

test('parameters have types that do not depend on their values', async () => {
  const seen: string[] = [];
  const values: unknown[] = [];
  const server = await fakeServer({
    q: (query, answer) => {
      seen.push(query.declaration);
      values.push(['a', 'b', 'c', 'd'].map(name => param(query, name)));
      answer.done(0);
    },
  });
  const connection = await server.connect();
  const at = new Date('2026-03-04T05:06:07.089Z');
  await connection.run(ownCommand('q', { a: 'x', b: 1, c: new Uint8Array([1]), d: at }));
  await connection.run(ownCommand('q', { a: 'x'.repeat(3999), b: 2n ** 62n, c: new Uint8Array(7000), d: at }));
  await connection.run(ownCommand('q', { a: null, b: true, c: 0.5, d: 'x'.repeat(5000) }));
  expect(seen).toEqual([
    '@a nvarchar(4000), @b bigint, @c varbinary(8000), @d datetime2(7)',
    '@a nvarchar(4000), @b bigint, @c varbinary(8000), @d datetime2(7)',
    '@a nvarchar(4000), @b bit, @c float, @d nvarchar(max)',
  ]);
  expect(values[1]).toMatchObject(['x'.repeat(3999), expect.anything(), expect.anything(), expect.anything()]);
  expect(String((values[1] as unknown[])[1])).toBe(String(2n ** 62n));
});

describe('a request without an answer', () => {
  test('is cancelled on the wire when its caller gives up', async () => {
    const server = await fakeServer({ slow: hanging });
    const connection = await server.connect();
    const stop = new AbortController();
    const asking = connection.run(ownCommand('slow', {}), { signal: stop.signal });
    await waitFor(() => server.asked.includes('slow'));
    stop.abort(new Error('enough'));
    await expect(asking).rejects.toMatchObject({
      code: 'SQL_UNAVAILABLE',
      message: expect.stringContaining('cancelled'),
    });
    expect(connection.isOpen).toBe(true);
    expect((await connection.run(command('alive', 'SELECT 1;'))).sets[0]!.rows).toEqual([[1]]);
  });

  test('is not sent when its caller has given up', async () => {
    const server = await fakeServer();
    const connection = await server.connect();
    await expect(connection.run(command('alive', ''), { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'SQL_UNAVAILABLE',
    });
    expect(server.asked).toEqual([]);
  });

  test('is cancelled after its time, before the first packet', async () => {
    const server = await fakeServer({
      slow: async (_query, answer) => {
        await new Promise((_, reject) => answer.signal.addEventListener('abort', () => reject(answer.signal.reason)));
      },
    });
    const connection = await server.connect({ requestMs: 150 });
    await expect(connection.run(ownCommand('slow', {}))).rejects.toMatchObject({
      code: 'SQL_UNAVAILABLE',
      class: 'transient',
      message: expect.stringContaining('no answer in 150 ms'),
    });
    expect(connection.isOpen).toBe(true);
  });

  test('is cancelled when its packets stop coming, where the client itself would wait for ever', async () => {
    const server = await fakeServer({
      stops: async (query, answer) => {
        answer.columns([{ name: 'n', type: 'int' }]);
        await answer.row([1]);
        await hanging(query, answer);
      },
    });
    const connection = await server.connect({ requestMs: 60_000, idleMs: 60_000 });
    void connection;
    const impatient = await server.connect({ requestMs: 200, idleMs: 200 });
    await expect(impatient.run(ownCommand('stops', {}))).rejects.toMatchObject({
      message: expect.stringContaining('no answer in 200 ms'),
    });
    expect(impatient.isOpen).toBe(true);
  });

  test.each(['second', 'none'] as const)(
    'is given up with its connection when the cancel gets %s of its answers',
    async attention => {
      const server = await fakeServer({ slow: hanging });
      server.tds.fault({ on: seen => seen.sql === 'slow', attention });
      const connection = await server.connect({ requestMs: 150, idleMs: 150, cancelMs: 200 });
      await expect(connection.run(ownCommand('slow', {}))).rejects.toMatchObject({ code: 'SQL_UNAVAILABLE' });
      await waitFor(() => !connection.isOpen);
      await expect(connection.run(command('alive', ''))).rejects.toMatchObject({ code: 'SQL_UNAVAILABLE' });
    },
  );

  test.each(['end', 'reset', 'stall'] as const)('fails when the connection breaks by %s', async by => {
    const server = await fakeServer();
    server.tds.fault({ on: seen => seen.kind === 'query' && seen.sql.includes('alive'), breaks: { at: 20, by } });
    const connection = await server.connect({ requestMs: 200, idleMs: 200, cancelMs: 200 });
    await expect(connection.run(command('alive', 'SELECT 1;'))).rejects.toMatchObject({
      code: 'SQL_UNAVAILABLE',
      class: 'transient',
    });
    await waitFor(() => !connection.isOpen);
  });
});

describe('an error', () => {
  test('of the server has its number, and the connection lives on', async () => {
    const server = await fakeServer({
      dead: () => {
        throw errors.deadlock(51);
      },
      twice: () => {
        throw new SqlError(2627, "Violation of PRIMARY KEY constraint 'PK_t'.", { class: 14 });
      },
    });
    const connection = await server.connect();
    await expect(connection.run(ownCommand('dead', {}))).rejects.toMatchObject({
      code: 'SQL_UNAVAILABLE',
      class: 'transient',
      number: 1205,
    });
    await expect(connection.run(ownCommand('twice', {}))).rejects.toMatchObject({
      code: 'SQL_CONSTRAINT',
      class: 'poison',
      number: 2627,
    });
    expect(connection.isOpen).toBe(true);
    expect(connection.isDirty).toBe(true);
  });

  test('of a login says what to do, and no secret', async () => {
    const server = await fakeServer(
      {},
      {
        open: session => {
          throw errors.loginFailed(session.login.user);
        },
      },
    );
    const failure = await server.connect().catch((error: Error) => error);
    expect(failure).toMatchObject({
      code: 'ACCESS_REFUSED',
      class: 'fatal',
      message: expect.stringContaining('18456'),
    });
    expect(JSON.stringify([(failure as Error).message, (failure as Error).stack])).not.toContain('secret');
  });

  test('of a server that is not there is transient', async () => {
    const server = await fakeServer();
    server.tds.refuse();
    await expect(server.connect({ connectMs: 2000 })).rejects.toMatchObject({
      code: 'SQL_UNAVAILABLE',
      class: 'transient',
    });
  });

  test('of a database that fails over is transient', async () => {
    const server = await fakeServer(
      {},
      {
        open: session => {
          throw errors.unavailable(session.login.database);
        },
      },
    );
    await expect(server.connect()).rejects.toMatchObject({ code: 'SQL_UNAVAILABLE', number: 40613 });
  });
});

/** A million rows: more than a test takes. */
const MANY: Scripts = {
  rows: async (_query, answer) => {
    answer.columns([{ name: 'n', type: 'int' }]);
    for (let n = 0; n < 1_000_000; n++) await answer.row([n]);
    answer.done();
  },
};

describe('rows one after the other', () => {
  test('come as they are asked for, and the server waits', async () => {
    let given = 0;
    const server = await fakeServer({
      rows: async (_query, answer) => {
        answer.columns([
          { name: 'n', type: 'int' },
          { name: 'text', type: 'nvarchar(max)' },
        ]);
        for (; given < 3000; given++) await answer.row([given, 'x'.repeat(4000)]);
        answer.done();
      },
    });
    const connection = await server.connect();
    const stream = connection.stream(ownCommand('rows', {}));
    expect((await stream.next(10)).map(row => row['n'])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await new Promise(resolve => setImmediate(resolve));
    const after = given;
    expect(after).toBeLessThan(3000);
    let count = 10;
    for (let rows = await stream.next(100); ; rows = await stream.next(100)) {
      for (const row of rows) expect(row['n']).toBe(count++);
      if (rows.length < 100) break;
    }
    expect(count).toBe(3000);
    await stream.close();
  });

  test('may be left in the middle', async () => {
    const server = await fakeServer(MANY);
    const connection = await server.connect();
    const stream = connection.stream(ownCommand('rows', {}));
    await stream.next(1);
    await stream.close();
    expect(connection.isOpen).toBe(true);
    expect((await connection.run(command('alive', 'SELECT 1;'))).sets[0]!.rows).toEqual([[1]]);
  });

  test('end with the connection', async () => {
    const server = await fakeServer(MANY);
    const connection = await server.connect();
    const stream = connection.stream(ownCommand('rows', {}));
    await stream.next(1);
    server.tds.kill();
    await expect(
      (async () => {
        while ((await stream.next(1000)).length > 0);
      })(),
    ).rejects.toMatchObject({ code: 'SQL_UNAVAILABLE' });
    await stream.close();
  });
});

test('a bulk load sends text as text', async () => {
  const server = await fakeServer({ stage: (_query, answer) => answer.done() });
  const connection = await server.connect();
  await connection.run(batch('stage', 'CREATE TABLE #r (ask int, c0 nvarchar(4000), c1 nvarchar(max));'));
  await connection.bulk(
    '#r',
    [
      { name: 'ask', kind: 'int' },
      { name: 'c0', kind: 'text' },
      { name: 'c1', kind: 'longText' },
    ],
    [
      [0, 'ä', null],
      [1, null, 'x'.repeat(9000)],
    ],
  );
  expect(server.loaded[0]!.rows.rows).toEqual([
    [0, 'ä', null],
    [1, null, 'x'.repeat(9000)],
  ]);
  expect(server.loaded[0]!.target.columns.map(column => column.declaration)).toEqual([
    'int',
    'nvarchar(4000)',
    'nvarchar(max)',
  ]);
});
