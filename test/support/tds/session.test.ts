/** Logins, requests and transactions, by tedious over TCP. */
import { ISOLATION_LEVEL, TYPES } from 'tedious';
import { describe, expect, it } from 'vitest';
import { asBatch, asCall, type ClientOptions, tdsClient } from './client.ts';
import { errors, SqlError, type TdsServerOptions, tdsServer } from './index.ts';
import { type Script, Scripted } from './scripted.ts';

async function pair(
  scripts: Record<string, Script> = {},
  client: ClientOptions = {},
  server: Partial<TdsServerOptions> = {},
) {
  const handlers: Scripted[] = [];
  const tds = await tdsServer({
    open: session => {
      handlers.push(new Scripted(session, scripts));
      return handlers.at(-1)!;
    },
    ...server,
  });
  return { tds, client: await tdsClient(tds, client), handler: handlers[0]!, handlers };
}

const one: Script = async (_query, answer) => {
  answer.columns([{ name: 'one', type: 'int' }]);
  await answer.row([1]);
  answer.done();
};

describe('a login', () => {
  it('tells who it is, and gets a session', async () => {
    const { client, handler } = await pair(
      {},
      {
        user: 'ann',
        password: 'pä$$ wörd',
        database: 'shop',
        appName: 'tests',
        readOnlyIntent: true,
        packetSize: 8192,
      },
    );
    expect(handler.session).toMatchObject({
      spid: 51,
      database: 'shop',
      isEncrypted: false,
      transaction: 0n,
      login: {
        user: 'ann',
        password: 'pä$$ wörd',
        database: 'shop',
        app: 'tests',
        isReadOnly: true,
        packetBytes: 8192,
      },
    });
    expect(client.infos).toEqual([5701, 5703]);
  });

  it('is refused for good, or for now', async () => {
    let tries = 0;
    const server = await tdsServer({
      open: session => {
        if (session.login.password !== 'secret') throw errors.loginFailed(session.login.user);
        if (++tries < 3) throw errors.databaseRefused(session.login.database);
        return new Scripted(session);
      },
    });
    await expect(tdsClient(server, { user: 'bob', password: 'no' })).rejects.toMatchObject({
      code: 'ELOGIN',
      message: `Login failed for user 'bob'.`,
    });
    await tdsClient(server, { database: 'shop', connectionRetryInterval: 1 });
    expect(tries).toBe(3);
  });

  it('is sent elsewhere', async () => {
    const { tds } = await pair();
    const gate = await tdsServer({
      open: () => expect.unreachable(),
      route: () => ({ host: tds.host, port: tds.port }),
    });
    await tdsClient(gate);
    expect([gate.accepted, tds.accepted]).toEqual([1, 2]);
  });
});

describe('a request', () => {
  it('is answered by rows and their number', async () => {
    const { client } = await pair({ 'SELECT 1': one });
    for (const send of [undefined, asBatch])
      expect(await client.ask('SELECT 1', {}, send)).toMatchObject({
        rows: [[1]],
        columns: [['one']],
        count: 1,
        counts: [1],
      });
  });

  it('may have several result sets, counts, messages, and none of them', async () => {
    const many: Script = async (query, answer) => {
      await one(query, answer);
      answer.info(0, 'half way');
      answer.done(7);
      await one(query, answer);
    };
    const { client } = await pair({ many, none: () => undefined });
    for (const send of [undefined, asBatch]) {
      client.infos.length = 0;
      const got = await client.ask('many', {}, send);
      expect(got).toMatchObject({ rows: [[1], [1]], count: 9, counts: [1, 7, 1] });
      expect(got.mores).toEqual([true, true, send !== asBatch]); // the last of a procedure is another token
      expect(client.infos).toEqual([0]);
      expect(await client.ask('none', {}, send)).toMatchObject({ rows: [], count: 0 });
    }
  });

  it('has parameters, outputs and a return status', async () => {
    const seen: unknown[] = [];
    const call: Script = ({ params, declaration }, answer) => {
      seen.push(declaration, ...params.map(({ name, type, value, isOutput }) => [name, type.text, value, isOutput]));
      answer.returnStatus(-4);
      answer.output('@out', 'bigint', 9_007_199_254_740_993n);
    };
    const { client } = await pair({ call, text: call });
    const params = {
      a: { type: TYPES.Int, value: -5 },
      out: { type: TYPES.BigInt, value: null, isOutput: true },
    };
    expect(await client.ask('text', params)).toMatchObject({ outputs: { out: '9007199254740993' }, status: -4 });
    expect(await client.ask('call', params, asCall)).toMatchObject({
      outputs: { out: '9007199254740993' },
      status: -4,
    });
    const both = [
      ['@a', 'int', -5, false],
      ['@out', 'bigint', null, true],
    ];
    expect(seen).toEqual(['@a int, @out bigint OUTPUT', ...both, '', ...both]);
  });

  it('may be prepared', async () => {
    const { client, handler } = await pair({
      twice: ({ params }, answer) => answer.done(2 * (params[0]!.value as number)),
    });
    const { request, outcome } = client.start('twice', { n: { type: TYPES.Int, value: null } }, (connection, one) =>
      connection.prepare(one),
    );
    await new Promise(resolve => request.once('prepared', resolve));
    client.connection.execute(request, { n: 21 });
    expect(await outcome).toMatchObject({ count: 42 });
    expect(handler.asked).toEqual(['twice']);
    const unprepared = new Promise(resolve => request.once('requestCompleted', resolve));
    client.connection.unprepare(request);
    await unprepared;
    const again = client.start('twice', { n: { type: TYPES.Int, value: null } }, (connection, one) => {
      Object.assign(one, { handle: 1 });
      connection.execute(one, { n: 1 });
    });
    await expect(again.outcome).rejects.toMatchObject({ number: 8179 });
  });

  it('may be prepared and executed in one, and by the names of the procedures', async () => {
    const seen: unknown[] = [];
    const { client } = await pair({
      twice: ({ params }, answer) => {
        seen.push(params.map(({ name, value }) => [name, value]));
        answer.done(2 * (params[0]!.value as number));
      },
    });
    const text = (value: string) => ({ type: TYPES.NVarChar, value });
    const n = { type: TYPES.Int, value: 21 };
    const both = {
      handle: { type: TYPES.Int, value: null, isOutput: true },
      params: text('@n int'),
      stmt: text('twice'),
      n,
    };
    expect(await client.ask('sp_prepexec', both, asCall)).toMatchObject({ counts: [42], outputs: { handle: 1 } });
    expect(await client.ask('sys.sp_execute', { handle: { type: TYPES.Int, value: 1 }, n }, asCall)).toMatchObject({
      counts: [42],
    });
    expect(await client.ask('SP_EXECUTESQL', { stmt: text('twice'), params: text('@n int'), n }, asCall)).toMatchObject(
      {
        counts: [42],
      },
    );
    expect(seen).toEqual([[['@n', 21]], [['@n', 21]], [['@n', 21]]]);
    await expect(client.ask('sp_unprepare', { handle: { type: TYPES.Int, value: 2 } }, asCall)).rejects.toMatchObject({
      number: 8179,
    });
  });

  it('fails with one error or several, and the connection goes on', async () => {
    const two: Script = (_query, answer) => {
      answer.error(new SqlError(547, 'first', { state: 2, class: 16, line: 3, procedure: 'p' }));
      answer.error(new SqlError(3621, 'second'));
    };
    const throwing: Script = () => {
      throw new SqlError(208, 'gone', { line: 9 });
    };
    const { client, tds } = await pair({ two, throwing, 'SELECT 1': one });
    for (const send of [undefined, asBatch]) {
      await expect(client.ask('throwing', {}, send)).rejects.toMatchObject({
        code: 'EREQUEST',
        number: 208,
        message: 'gone',
        lineNumber: 9,
      });
      const several = await client.ask('two', {}, send).catch(error => error);
      expect(several.errors).toMatchObject([
        { number: 547, state: 2, class: 16, lineNumber: 3, procName: 'p', serverName: 'keymill' },
        { number: 3621 },
      ]);
      expect(await client.ask('SELECT 1', {}, send)).toMatchObject({ count: 1 });
    }
    expect(tds.failures).toEqual([]);
  });

  it('that nobody knows, or whose handler fails, says so', async () => {
    const { client, tds } = await pair({
      bad: () => {
        throw new TypeError('a mistake');
      },
      misfit: (_query, answer) => {
        answer.columns([{ name: 'a', type: 'tinyint' }]);
        void answer.row([256]);
      },
    });
    await expect(client.ask('x')).rejects.toMatchObject({ number: 50_000, message: 'the test server: unknown: x' });
    await expect(client.ask('bad')).rejects.toMatchObject({ number: 50_000, message: 'the test server: a mistake' });
    await expect(client.ask('misfit')).rejects.toMatchObject({ number: 50_000 });
    expect(tds.failures).toHaveLength(2);
  });

  it('that fails with class 20 or more ends the connection', async () => {
    const { client, handler } = await pair({
      bad: () => {
        throw errors.throttled();
      },
    });
    await expect(client.ask('bad')).rejects.toMatchObject({ number: 40_501, class: 20 });
    await expect.poll(() => handler.isClosed).toBe(true);
    await expect.poll(() => client.connection.closed).toBe(true);
  });
});

describe('a transaction', () => {
  it('begins, is named by every request, and ends', async () => {
    const { client, handler } = await pair({ 'SELECT 1': one });
    await client.begin(ISOLATION_LEVEL.SNAPSHOT);
    expect(handler.session.transaction).not.toBe(0n);
    await client.ask('SELECT 1');
    await client.save('s1');
    await client.rollback('s1');
    await client.ask('SELECT 1', {}, asBatch);
    await client.commit();
    expect(handler.session.transaction).toBe(0n);
    await client.begin();
    await client.rollback();
    await client.ask('SELECT 1');
    expect(handler.asked).toEqual([
      'begin snapshot',
      'SELECT 1',
      'save s1',
      'rollback to s1',
      'SELECT 1',
      'commit',
      'begin read committed',
      'rollback',
      'SELECT 1',
    ]);
  });

  it('is not ended where there is none, nor touched by a request that means another', async () => {
    const { client } = await pair({ 'SELECT 1': one });
    await expect(client.commit()).rejects.toMatchObject({ number: 3902 });
    await expect(client.rollback()).rejects.toMatchObject({ number: 3903 });
    await client.begin();
    const { connection } = client as unknown as { connection: { transactionDescriptors: Buffer[] } };
    const right = connection.transactionDescriptors.pop()!;
    await expect(client.ask('SELECT 1')).rejects.toMatchObject({ number: 3989 });
    connection.transactionDescriptors.push(right);
    await client.ask('SELECT 1');
    await client.commit();
  });

  it('may begin and end by the text of a batch', async () => {
    const { client, handler } = await pair({
      'BEGIN TRAN': (_query, answer) => answer.began(),
      COMMIT: (_query, answer) => answer.committed(),
      'SELECT 1': one,
    });
    await client.ask('BEGIN TRAN', {}, asBatch);
    expect(handler.session.transaction).not.toBe(0n);
    await client.ask('SELECT 1');
    await client.ask('COMMIT', {}, asBatch);
    expect(handler.session.transaction).toBe(0n);
    await client.ask('SELECT 1');
  });

  it('ends with an error that rolls back', async () => {
    const { client, handler } = await pair({
      bad: () => {
        throw errors.deadlock(51);
      },
      'SELECT 1': one,
    });
    await client.begin();
    await expect(client.ask('bad')).rejects.toMatchObject({ number: 1205, class: 13, state: 51 });
    expect(client.events).toEqual(['databaseChange', 'rollbackTransaction']);
    expect(handler.session.transaction).toBe(0n);
    await client.ask('SELECT 1');
    expect(handler.asked).toEqual(['begin read committed', 'bad', 'rollback', 'SELECT 1']);
  });
});

describe('a reset', () => {
  it('makes the session as new with the request that asks for it', async () => {
    const { client, handler } = await pair(
      { 'SELECT 1': one, use: (_query, answer) => answer.database('other') },
      { database: 'shop' },
    );
    await client.ask('use');
    expect(handler.session.database).toBe('other');
    await client.begin();
    await client.reset();
    expect(handler.asked).toEqual(['use', 'begin read committed', 'reset']);
    expect(handler.session).toMatchObject({ transaction: 0n, database: 'shop' });
    expect(client.events).toEqual(['databaseChange', 'databaseChange', 'resetConnection']);
  });

  it('of a client that still means the transaction which it ended is followed by a refusal', async () => {
    const { client } = await pair({ 'SELECT 1': one });
    await client.reset();
    await client.ask('SELECT 1');
    await client.begin();
    await client.reset(); // tedious forgets the transaction only when it ends it by itself
    await expect(client.ask('SELECT 1')).rejects.toMatchObject({ number: 3989 });
  });
});
