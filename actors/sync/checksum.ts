/** Whether a table, its cache and a replica hold the same: rows and a checksum that does not depend on their order. */
import { createHash } from 'node:crypto';
import type { RedisClient } from '../redis/contract.ts';
import type { Row, SqlClient } from '../sql/contract.ts';
import { encodeValue } from './message.ts';

export interface Contents {
  readonly rows: number;
  readonly checksum: string;
}

const AT_ONCE = 500;

export class ContentsSum {
  #rows = 0;
  /** Sum of the rows' hashes modulo 2¹²⁸: the order of rows makes no difference. */
  #sum = 0n;

  /** `row` is JSON by column; the columns may come in any order. */
  add(table: string, row: Readonly<Record<string, string>>): void {
    const columns = Object.keys(row)
      .sort()
      .map(name => [name, row[name]]);
    const hash = createHash('sha256')
      .update(JSON.stringify([table, columns]))
      .digest('hex');
    this.#sum = (this.#sum + BigInt(`0x${hash.slice(0, 32)}`)) & ((1n << 128n) - 1n);
    this.#rows++;
  }

  get contents(): Contents {
    return { rows: this.#rows, checksum: this.#sum.toString(16).padStart(32, '0') };
  }
}

export async function contentsOfTables(sql: SqlClient, tables: readonly string[]): Promise<Contents> {
  const sum = new ContentsSum();
  for (const table of tables) {
    const { table: name, columns } = await sql.describe(table);
    const list = columns.map(column => `"${column.name.replaceAll('"', '""')}"`).join(', ');
    for await (const row of sql.stream(`SELECT ${list} FROM "${name.replaceAll('"', '""')}"`, {}, { chunk: AT_ONCE }))
      sum.add(name, jsonOf(row));
  }
  return sum.contents;
}

export async function contentsOfCache(
  redis: RedisClient,
  tables: readonly string[],
  prefix = 'sync:',
): Promise<Contents> {
  const sum = new ContentsSum();
  for (const table of tables) {
    const keys: string[] = [];
    for await (const key of redis.scan(`${prefix}${table}:`)) keys.push(key);
    for (let at = 0; at < keys.length; at += AT_ONCE)
      for (const one of await redis.getManyFields(keys.slice(at, at + AT_ONCE)))
        if (one && !one.isGone)
          sum.add(table, Object.fromEntries(Object.entries(one.fields).map(([name, value]) => [name, String(value)])));
  }
  return sum.contents;
}

function jsonOf(row: Row): Record<string, string> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, JSON.stringify(encodeValue(value))]));
}
