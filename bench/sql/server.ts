/**
 * The SQL Server of the tests in a process of its own (test/support/tds): it speaks TDS over TCP and keeps its rows in SQLite.
 * Its speed is not that of SQL Server; what a round trip costs, and how many there are, is. It also bears witness.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServedMssql } from '../../test/support/tds/served.ts';

export async function withServer<T>(use: (server: ServedMssql) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'keymill-bench-mssql-'));
  const server = await new ServedMssql({ folder }).start();
  try {
    return await use(server);
  } finally {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** The numbers of the first row of a query. */
export async function numbersOf(server: ServedMssql, query: string): Promise<number[]> {
  const { sets } = await server.run(query);
  return (sets[0]?.rows[0] ?? []).map(Number);
}
