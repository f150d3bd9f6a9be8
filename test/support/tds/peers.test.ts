/** The server and clients that are not tedious, so that it is not only what tedious takes it for. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempFolder } from '../temp-folder.ts';
import { type Session, SqlError, type SqlValue, type TdsServer, tdsServer } from './index.ts';
import { peer, type Said, say } from './peers.ts';
import { makePems, type Pems } from './pems.ts';
import { type Script, Scripted } from './scripted.ts';

const FETCH_MS = 180_000;
const SCRIPT = fileURLToPath(new URL('peer.py', import.meta.url));
const freetds = await peer('freetds');
const pythonTds = await peer('python-tds');

let pems: Pems;
beforeAll(async () => {
  pems = await makePems();
}, FETCH_MS);
afterAll(() => pems.remove());

const OLD: readonly (readonly [type: string, value: SqlValue])[] = [
  ['bigint', 9_007_199_254_740_993n],
  ['int', -7],
  ['decimal(38,4)', '-1234567890123456789012345678901234.5678'],
  ['money', '12.3456'],
  ['nvarchar(20)', 'é\u{1f600}'],
  ['nvarchar(max)', 'ä'.repeat(10)],
  ['varchar(10)', 'naïve'],
  ['varbinary(10)', Buffer.from([1, 2])],
  ['uniqueidentifier', '00112233-4455-6677-8899-AABBCCDDEEFF'],
  ['bit', true],
  ['float', 0.5],
  ['datetime', '2026-11-22 21:14:41.123'],
  ['int', null],
  ['nvarchar(5)', null],
];
/** bsqldb 1.3.17 knows no uniqueidentifier and falls over (max), binaries and long decimals, which tsql reads by the same library. */
const FEW: typeof OLD = [
  ...OLD.filter(([type]) => !/uniqueidentifier|max|binary|decimal/.test(type)),
  ['decimal(18,4)', '-12345.6789'],
];
const NEW: typeof OLD = [
  ['datetime2(6)', '2026-11-22 21:14:41.123456'],
  ['datetimeoffset(6)', '2026-11-22 21:14:41.123456 +02:00'],
  ['date', '2026-11-22'],
  ['time(6)', '21:14:41.123456'],
  ['xml', '<a>é</a>'],
];

const sending =
  (cells: typeof OLD): Script =>
  async (_query, answer) => {
    answer.columns(cells.map(([type], index) => ({ name: `c${index}`, type })));
    await answer.row(cells.map(([, value]) => value));
    answer.done();
  };

interface Played {
  readonly server: TdsServer;
  readonly sessions: Session[];
  readonly seen: unknown[];
}

async function play(): Promise<Played> {
  const sessions: Session[] = [];
  const seen: unknown[] = [];
  const scripts: Record<string, Script> = {
    old: sending(OLD),
    new: sending(NEW),
    few: sending(FEW),
    bad: () => {
      throw new SqlError(2627, 'a key twice', { class: 14, line: 3 });
    },
    take: ({ params }, answer) => {
      seen.push(...params.map(({ name, type, value }) => [name, type.text, value]));
      answer.done(params.length);
    },
  };
  const server = await tdsServer({
    tls: pems.tls,
    open: session => {
      sessions.push(session);
      const handler = new Scripted(session);
      handler.query = async (query, answer) => scripts[query.sql.trim().split(' ')[0]!]?.(query, answer);
      return handler;
    },
  });
  return { server, sessions, seen };
}

/** Whether all of a connection is encrypted, and what says so to FreeTDS and to python-tds. */
const MODES = [
  ['no encryption', 'encryption = off', {}, false],
  ['an encrypted login', 'encryption = request', { loginOnly: true }, false],
  ['encryption', 'encryption = require', {}, true],
] as const;

describe.skipIf(!freetds)('FreeTDS', () => {
  const ask = async (
    program: string,
    { server }: Played,
    how: string,
    input: string,
    args: readonly string[],
  ): Promise<Said> => {
    const file = join(await tempFolder('freetds'), 'freetds.conf');
    const lines = [
      '[peer]',
      'host = 127.0.0.1',
      `port = ${server.port}`,
      'tds version = 7.4',
      'client charset = UTF-8',
      how,
    ];
    await writeFile(file, [...lines, `ca file = ${pems.caPath}`, ''].join('\n'));
    const { command, env } = freetds!(program);
    return say(
      { command, args: ['-S', 'peer', '-U', 'sa', '-P', 'secret', ...args], env: { ...env, FREETDSCONF: file } },
      input,
    );
  };

  it.each(MODES)('tsql, with %s', async (_name, how, _python, isEncrypted) => {
    const played = await play();
    const { output, code } = await ask('tsql', played, how, 'old\ngo\nnew\ngo\nbad\ngo\nold\ngo\nexit\n', [
      '-o',
      'qh',
      '-t',
      '|',
    ]);
    expect(code, output).toBe(0);
    const row = `9007199254740993|-7|-1234567890123456789012345678901234.5678|12.3456|é\u{1f600}|${'ä'.repeat(10)}|naïve|0102|00112233-4455-6677-8899-AABBCCDDEEFF|1|0.5|`;
    expect(output.split(row)).toHaveLength(3);
    expect(output).toContain('Nov 22 2026 09:14PM');
    expect(output).toContain('<a>é</a>');
    expect(output).toContain('Msg 2627 (severity 14, state 1) from keymill Line 3');
    expect(played.sessions).toMatchObject([
      { isEncrypted, login: { user: 'sa', password: 'secret', library: 'TDS-Library' } },
    ]);
    expect([played.server.breaches, played.server.failures]).toEqual([[], []]);
  });

  it.each(MODES)('bsqldb, with %s', async (_name, how, _python, isEncrypted) => {
    const played = await play();
    const { output, code } = await ask('bsqldb', played, how, 'few\ngo\n', ['-t', '|']);
    expect(code, output).toBe(0);
    expect(output).toContain('9007199254740993');
    expect(output).toContain('-12345.6789');
    expect(output).toContain('naïve');
    expect(played.sessions).toMatchObject([{ isEncrypted }]);
    const failed = await ask('bsqldb', played, how, 'bad\ngo\n', []);
    expect(failed.output).toContain('Msg 2627, Level 14, State 1');
    expect([played.server.breaches, played.server.failures]).toEqual([[], []]);
  });
});

describe.skipIf(!pythonTds)('python-tds', () => {
  it.each(MODES)('with %s', async (name, _freetds, how, isEncrypted) => {
    const played = await play();
    const steps = [
      ['old', null],
      ['new', null],
      ['bad', null],
      [
        'take %s %s %s %s %s',
        [2 ** 53 - 1, 'é\u{1f600}', { decimal: '12345678901234567890.1234' }, { bytes: '0102' }, null],
      ],
      ['commit', null],
      ['old', null],
    ];
    const told = {
      host: 'localhost',
      port: played.server.port,
      password: 'secret',
      ca: name === 'no encryption' ? null : pems.caPath,
      loginOnly: false,
      autocommit: false,
      steps,
      ...how,
    };
    const { command, args, env } = pythonTds!(SCRIPT);
    const { output, code } = await say({ command, args: [...args, JSON.stringify(told)], env });
    expect(code, output).toBe(0);
    const [old, young, bad, taken, again] = JSON.parse(output).results;
    expect(old.rows[0].slice(0, 11)).toEqual([
      9_007_199_254_740_992, // JSON.parse takes it for a number
      -7,
      { text: '-1234567890123456789012345678901234.5678' },
      { text: '12.3456' },
      'é\u{1f600}',
      'ä'.repeat(10),
      'naïve',
      { bytes: '0102' },
      { text: '00112233-4455-6677-8899-aabbccddeeff' },
      true,
      0.5,
    ]);
    expect(output).toContain('9007199254740993');
    expect(old.rows[0].slice(12)).toEqual([null, null]);
    expect(young.rows[0]).toEqual([
      { text: '2026-11-22T21:14:41.123456' },
      { text: '2026-11-22T21:14:41.123456+02:00' },
      { text: '2026-11-22' },
      { text: '21:14:41.123456' },
      '<a>é</a>',
    ]);
    expect(bad).toMatchObject({ error: 'IntegrityError', number: 2627 });
    // It puts a null into the text by itself.
    expect(taken).toMatchObject({ count: 4 });
    expect(played.seen.map(one => (one as unknown[])[2])).toEqual([
      BigInt(2 ** 53 - 1),
      'é\u{1f600}',
      '12345678901234567890.1234',
      Buffer.from([1, 2]),
    ]);
    expect(again).toEqual(old);
    expect(played.sessions).toMatchObject([{ isEncrypted, login: { database: 'shop', app: 'pytds' } }]);
    expect([played.server.breaches, played.server.failures]).toEqual([[], []]);
  });
});
