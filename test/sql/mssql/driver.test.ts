/** The driver over the wire: statements, cursors, bookmarks, tracking, and what `check` and `doctor` say of a server. */
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { sql } from '../../../actors/sql/index.ts';
import { examineServer } from '../../../actors/sql/mssql/doctor.ts';
import { rehearseServer } from '../../../actors/sql/mssql/rehearse.ts';
import { SqlError, type SqlValue } from '../../support/tds/index.ts';
import { makePems } from '../../support/tds/pems.ts';
import { contextOf, environment, SILENT } from '../support.ts';
import { catalog, FACTS, fakeServer, give, param, type Scripts } from './support.ts';
import { SMALL } from './tables.ts';

const { signal } = new AbortController();

describe('rows of a statement', () => {
  const rows: Scripts = {
    rows: async (_query, answer) => {
      answer.columns([{ name: 'n', type: 'int' }]);
      for (let n = 0; n < 1000; n++) await answer.row([n]);
      answer.done();
    },
  };

  test('have the names of their columns', async () => {
    const server = await fakeServer(rows);
    const found = await server.driver().query('rows', {}, 10_000);
    expect(found).toHaveLength(1000);
    expect(found[7]).toEqual({ n: 7 });
  });

  test('too many of them are refused, with advice', async () => {
    const server = await fakeServer(rows);
    await expect(server.driver().query('rows', {}, 10)).rejects.toMatchObject({
      code: 'SQL_FAILED',
      message: expect.stringContaining('stream'),
    });
  });

  test('one after the other are of one snapshot, whose connection is reset before another has it', async () => {
    const server = await fakeServer(rows);
    const driver = server.driver();
    const cursor = await driver.open('rows', {});
    expect(await cursor.next(2)).toEqual([{ n: 0 }, { n: 1 }]);
    await cursor.close();
    expect(server.asked.slice(0, 3)).toEqual(['server', 'begin snapshot', 'rows']);
    await expect.poll(() => server.asked.includes('reset')).toBe(true);
    await driver.probe();
    expect(server.tds.accepted).toBe(1);
  });

  test('are given without a snapshot where a database in the statement allows none', async () => {
    let refusals = 0;
    const server = await fakeServer({
      rows: async (query, answer, handler) => {
        if (handler.session.transaction !== 0n && refusals++ === 0) throw new SqlError(3952, 'not allowed');
        await rows['rows']!(query, answer, handler);
      },
    });
    const cursor = await server.driver().open('rows', {});
    expect(await cursor.next(2000)).toHaveLength(1000);
    await cursor.close();
    expect(refusals).toBe(1);
  });
});

describe('a bookmark', () => {
  const mark = { consumer: 'c', table: 't', version: 7, epoch: 8 };

  test('is kept in a table that is made for it', async () => {
    const kept: SqlValue[] = [];
    const server = await fakeServer({
      ...catalog(),
      'set-bookmark': query => void kept.push(param(query, 'kmVersion')!, param(query, 'kmName')!),
      bookmark: (_query, answer) => give(answer, ['bigint', 'bigint'], [7n, 8n]),
    });
    const driver = server.driver();
    await driver.setBookmark(mark);
    expect(kept.map(String)).toEqual(['7', 'dbo.t']);
    expect(await driver.bookmark('c', 't')).toEqual(mark);
    expect(server.asked).toContain('ensure-bookmarks');
  });

  test('is none where its table is missing', async () => {
    const server = await fakeServer({
      ...catalog(),
      bookmark: () => {
        throw new SqlError(208, "Invalid object name 'dbo.keymill_bookmarks'.");
      },
    });
    expect(await server.driver().bookmark('c', 't')).toBeNull();
  });

  test.each([
    ['it may not be made', { 'ensure-bookmarks': 262 }, {}],
    ['it may not be written', { 'set-bookmark': 229 }, {}],
    ['the database is read-only', { 'set-bookmark': 3906 }, {}],
    ['it is not wanted', {}, { bookmarks: false }],
    ['a secondary is read', {}, { readOnlyIntent: true }],
  ] as const)(
    'that cannot be kept, as %s, is said so that the source goes on without',
    async (_what, refused, more) => {
      const refusing = Object.fromEntries(
        Object.entries(refused).map(([name, number]) => [
          name,
          () => {
            throw new SqlError(number, 'permission denied');
          },
        ]),
      );
      const server = await fakeServer({ ...catalog(), 'set-bookmark': () => undefined, ...refusing });
      await expect(server.driver(more).setBookmark(mark)).rejects.toMatchObject({ code: 'STORE_READ_ONLY' });
    },
  );
});

describe('tracking', () => {
  test('is turned on for the database and the table, once', async () => {
    let isTracked = false;
    const server = await fakeServer({
      ...catalog(() => ({ ...SMALL, isTracked })),
      'track-database': query => expect(query.sql).toContain('CHANGE_RETENTION = 2880 MINUTES'),
      track: () => void (isTracked = true),
    });
    const driver = server.driver();
    const track = () => driver.write([{ op: 'track', table: 't', options: {} }], signal);
    expect(await track()).toEqual([{ value: undefined }]);
    expect(await track()).toEqual([{ value: undefined }]);
    expect(server.asked.filter(name => name.startsWith('track'))).toEqual(['track-database', 'track']);
    expect((await driver.describe('t')).isTracked).toBe(true);
  });

  test('needs a key', async () => {
    const server = await fakeServer(catalog(() => ({ ...SMALL, key: [], isTracked: false })));
    expect(await server.driver().write([{ op: 'track', table: 't', options: {} }], signal)).toMatchObject([
      { error: { code: 'TABLE_NO_KEY' } },
    ]);
  });
});

test('a table that is not there', async () => {
  const server = await fakeServer({
    table: async (_query, answer) => {
      await give(answer, ['int']);
      await give(answer, ['int']);
    },
  });
  await expect(server.driver().describe("t' OR 1=1 --")).rejects.toMatchObject({ code: 'TABLE_UNKNOWN' });
});

describe('encryption', () => {
  async function secure(): Promise<{ tls: { cert: Buffer; key: Buffer }; ca: string }> {
    const { tls, caPath, remove } = await makePems();
    onTestFinished(remove);
    return { tls, ca: caPath };
  }

  test('is on, and the certificate checked against its authority', async () => {
    const { tls, ca } = await secure();
    let encrypted: boolean | undefined;
    const server = await fakeServer(
      {
        alive: async (_query, answer, { session }) => {
          encrypted = session.isEncrypted;
          await give(answer, ['int'], [1]);
        },
      },
      { tls, isTlsForced: true },
    );
    const url = `mssql://sa:secret@localhost:${server.tds.port}/shop`;
    await server.driver({ url, tls: { ca } }).probe();
    expect(encrypted).toBe(true);
    await server.driver({ url, tls: { ca, strict: true } }).probe();
    for (const [more, says] of [
      [{ url, tls: {} }, 'certificate'],
      [{ url, tls: { ca, serverName: 'another.example' } }, 'certificate'],
    ] as const)
      await expect(server.driver(more).probe()).rejects.toMatchObject({
        code: 'SQL_UNAVAILABLE',
        class: 'fatal',
        message: expect.stringContaining(says),
      });
    await server.driver({ url, tls: { trustServerCertificate: true } }).probe();
  });

  test('is not given up where the server has none', async () => {
    const server = await fakeServer();
    await expect(server.driver({ tls: {} }).probe()).rejects.toMatchObject({ code: 'SQL_UNAVAILABLE', class: 'fatal' });
  });
});

test('a password in a file is read again for each connection', async () => {
  const passwords: string[] = [];
  const path = join(tmpdir(), `keymill-password-${process.pid}`);
  onTestFinished(() => rm(path, { force: true }));
  const server = await fakeServer();
  const passwordFile = path;
  await writeFile(path, 'one\n');
  const url = `mssql://sa@127.0.0.1:${server.tds.port}/shop`;
  const remember = async () => {
    const connection = await server.connect({ url, passwordFile });
    passwords.push(server.tds.connections.at(-1)!.session!.login.password);
    connection.close();
  };
  await remember();
  await writeFile(path, 'two');
  await remember();
  expect(passwords).toEqual(['one', 'two']);
  await rm(path);
  await expect(server.connect({ url, passwordFile })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

describe('check', () => {
  const look: Scripts = {
    look: async (_query, answer) => {
      await give(answer, ['bigint', 'nvarchar(36)', 'nvarchar(36)', 'nvarchar(34)', 'bigint'], [5n, 'g', 'f', 'c', 1n]);
      await give(answer, ['bigint', 'bigint', 'nvarchar(50)', 'bigint'], [1n, 1n, 'stamp 1', 0n]);
    },
  };
  const tools = { environment, log: SILENT };
  const read = { table: 't', track: false, from: 'tracking' as const };

  test('is content with a server that is as it should be', async () => {
    const server = await fakeServer({ ...catalog(), ...look });
    await rehearseServer(server.options(), null, tools);
    await rehearseServer(server.options(), { ...read, columns: ['NAME'] }, tools);
    expect(server.asked).toEqual(['server', 'server', 'table', 'look']);
  });

  test.each([
    ['a column that is not there', { columns: ['nope'] }, {}, {}, 'SQL_IDENTIFIER'],
    ['a secondary', {}, { readOnlyIntent: true }, {}, 'CONFIG_INVALID'],
    ['no snapshots', {}, { requireSnapshot: true }, { server: 0 }, 'SQL_FAILED'],
    ['no key', {}, {}, { key: [] }, 'TABLE_NO_KEY'],
  ] as const)('says what is wrong: %s', async (_what, more, options, wrong, code) => {
    const server = await fakeServer({
      ...catalog(() => ({ ...SMALL, ...('key' in wrong ? { key: [] } : {}) })),
      ...look,
      ...('server' in wrong
        ? ({ server: (_query, answer) => give(answer, FACTS, [160, 0, false, 0, 'dbo']) } satisfies Scripts)
        : {}),
    });
    await expect(rehearseServer(server.options(options), { ...read, ...more }, tools)).rejects.toMatchObject({ code });
  });
});

describe('doctor', () => {
  const HEALTH = [
    'nvarchar(128)',
    'nvarchar(128)',
    'nvarchar(60)',
    'int',
    'int',
    'bit',
    'bit',
    'bit',
    'int',
    'nvarchar(60)',
    'bigint',
    'int',
    'int',
    'nvarchar(5)',
  ];
  const WELL: SqlValue[] = [
    '16.0.1000',
    'Developer',
    'READ_WRITE',
    160,
    1,
    true,
    false,
    true,
    2,
    'DAYS',
    7n,
    1,
    1,
    'TCP',
  ];
  const scripts = (health: SqlValue[], tables: SqlValue[][] = [['dbo', 't', 1n, true, 1, 1]]): Scripts => ({
    health: (_query, answer) => give(answer, HEALTH, health),
    encryption: (_query, answer) => give(answer, ['nvarchar(5)'], ['TRUE']),
    cleanup: (_query, answer) =>
      give(answer, ['datetime2(3)', 'datetime2(3)'], ['2026-01-01 00:00:00', '2026-01-01 00:20:00']),
    'tracked-tables': (_query, answer) =>
      give(answer, ['nvarchar(128)', 'nvarchar(128)', 'bigint', 'bit', 'int', 'int'], ...tables),
    'capture-lag': (_query, answer) => give(answer, ['int', 'int'], [600, 1]),
  });
  const examine = async (health: Record<number, SqlValue>, tables?: SqlValue[][]) => {
    const all = WELL.map((value, i) => (i in health ? health[i]! : value));
    const server = await fakeServer(scripts(all, tables));
    return examineServer(server.options({ tls: { disabled: true } }), environment, SILENT);
  };

  test('finds nothing wrong with a server that is as it should be', async () => {
    const found = await examine({});
    expect(
      found.filter(
        ({ state, symptom }) => state !== 'fine' && !symptom.includes('in between') && !symptom.includes('take long'),
      ),
    ).toEqual([]);
    for (const { evidence } of found) expect(evidence).not.toContain('secret');
  });

  test.each([
    ['a short retention', { 8: 6, 9: 'HOURS' }, 'wrong', 'read anew'],
    ['no clean-up', { 7: false }, 'doubtful', 'never cleaned up'],
    ['tracking off', { 7: null, 8: null, 9: null }, 'doubtful', 'no table can be read'],
    ['no snapshots', { 4: 0 }, 'doubtful', 'come twice'],
    ['an old level', { 3: 110 }, 'doubtful', 'round trips'],
    ['a read-only database', { 2: 'READ_ONLY' }, 'wrong', 'writes are refused'],
    ['late capture', { 6: true }, 'doubtful', 'capture has stopped'],
  ] as const)('finds %s, and says what to do', async (_what, health, state, symptom) => {
    const found = await examine(health as unknown as Record<number, SqlValue>);
    expect(found).toContainEqual(
      expect.objectContaining({ state, symptom: expect.stringContaining(symptom), fix: expect.any(String) }),
    );
  });

  test('finds tables that may not be read', async () => {
    const found = await examine({}, [['dbo', 'hidden', null, true, 0, 0]]);
    expect(found.filter(one => one.state === 'wrong').map(one => one.fix)).toEqual([
      'GRANT VIEW CHANGE TRACKING on them.',
      'GRANT SELECT on them.',
    ]);
  });
});

test('the I/O actor is opened without a server, and says so when it is asked', async () => {
  const spec = sql({ url: 'mssql://sa:secret@127.0.0.1:1/shop', connectMs: 1000 });
  expect(spec.check(spec.options)).toEqual([]);
  const resource = await spec.open(spec.options, contextOf('/nowhere'));
  const [reply] = await resource.handleBatch([{ op: 'query', sql: 'SELECT 1' }], signal);
  expect(reply).toMatchObject({ error: { code: 'SQL_UNAVAILABLE', class: 'transient' } });
  await resource.close();
});
