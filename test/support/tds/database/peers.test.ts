/** Clients that are not tedious make a table, change it, and read its changes. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { tempFolder } from '../../temp-folder.ts';
import { peer, say } from '../peers.ts';
import { type MssqlServer, mssqlServer } from './index.ts';

const SCRIPT = fileURLToPath(new URL('../peer.py', import.meta.url));
const freetds = await peer('freetds');
const pythonTds = await peer('python-tds');

async function served(): Promise<MssqlServer> {
  const server = await mssqlServer({ login: { user: 'sa', password: 'secret' } });
  onTestFinished(() => server.close());
  await server.run(`CREATE TABLE t (k bigint NOT NULL PRIMARY KEY, name nvarchar(20) NULL);
    ALTER DATABASE CURRENT SET CHANGE_TRACKING = ON;
    ALTER TABLE t ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ON)`);
  return server;
}

const WRITE = "INSERT INTO t (k, name) VALUES (1, N'é'), (2, N'b'); UPDATE t SET name = N'c' WHERE k = 2";
const CHANGES =
  'SELECT c.SYS_CHANGE_OPERATION, c.k, t.name FROM CHANGETABLE(CHANGES t, 0) AS c LEFT JOIN t ON t.k = c.k ORDER BY c.k';

describe.skipIf(!freetds)('FreeTDS', () => {
  it.each(['tsql', 'bsqldb'])('%s', async program => {
    const { tds } = await served();
    const file = join(await tempFolder('freetds'), 'freetds.conf');
    const lines = ['host = 127.0.0.1', `port = ${tds.port}`, 'tds version = 7.4', 'client charset = UTF-8'];
    await writeFile(file, ['[peer]', ...lines, 'encryption = off', ''].join('\n'));
    const { command, env } = freetds!(program);
    const login = ['-S', 'peer', '-U', 'sa', '-P', 'secret', '-D', 'shop'];
    const args = program === 'tsql' ? [...login, '-o', 'qh', '-t', '|'] : [...login, '-t', '|'];
    const end = program === 'tsql' ? 'exit\n' : '';
    const input = `${WRITE}\ngo\n${CHANGES}\ngo\nSELECT nope FROM t\ngo\n${end}`;
    const { output } = await say({ command, args, env: { ...env, FREETDSCONF: file } }, input);
    expect(output).toMatch(/I\s*\|1\s*\|é/);
    expect(output).toMatch(/I\s*\|2\s*\|c/);
    expect(output).toContain("Invalid column name 'nope'");
    expect(tds.failures).toEqual([]);
  });
});

describe.skipIf(!pythonTds)('python-tds', () => {
  it('with parameters, and a transaction that is undone', async () => {
    const { tds } = await served();
    const told = {
      host: tds.host,
      port: tds.port,
      password: 'secret',
      ca: null,
      loginOnly: false,
      autocommit: false,
      steps: [
        ['INSERT INTO t (k, name) VALUES (%s, %s)', [1, 'é']],
        ['commit', null],
        ['DELETE FROM t', null],
        ['rollback', null],
        [CHANGES, null],
        ['SELECT nope FROM t', null],
      ],
    };
    const { command, args, env } = pythonTds!(SCRIPT);
    const { output } = await say({ command, args: [...args, JSON.stringify(told)], env });
    const { results } = JSON.parse(output) as { results: { rows?: unknown; number?: number }[] };
    expect(results[2]!.rows).toEqual([['I', 1, 'é']]);
    expect(results[3]!.number).toBe(207);
    expect(tds.failures).toEqual([]);
  });
});
