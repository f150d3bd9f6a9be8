import type { Row, SqlClient } from '../../actors/sql/contract.ts';
import { defineActor } from '../../runtime/index.ts';
import type { Operation } from './feed.ts';
import { makeTables } from './tables.ts';

/** Writes what the rows of a batch are to be at its end; asked for at once, all of it is one transaction, with one version. */
export default defineActor<Operation>({
  key: operation => idOf(operation),
  async init(ctx) {
    await makeTables(ctx.io<SqlClient>('sql'));
    await makeTables(ctx.io<SqlClient>('replica'));
  },
  async handleBatch(operations, ctx) {
    const sql = ctx.io<SqlClient>('sql');
    const last = new Map(operations.map(operation => [`${operation.table} ${idOf(operation)}`, operation]));
    const rows: Record<Operation['table'], Row[]> = { Airports: [], Flights: [] };
    const gone: Row[] = [];
    for (const operation of last.values())
      if (operation.do === 'put') rows[operation.table].push({ ...operation.row });
      else gone.push({ id: operation.id });
    const context = 'feeder';
    const asked: Promise<unknown>[] = [];
    for (const [table, its] of Object.entries(rows))
      if (its.length > 0) asked.push(sql.upsert(table, its, { context }));
    if (gone.length > 0) asked.push(sql.remove('Flights', gone, { context }));
    await Promise.all(asked);
  },
  options: { batch: { across: 'keys', flushMs: 0, max: 500 } },
});

function idOf(operation: Operation): string | number {
  if (operation.do === 'remove') return operation.id;
  return operation.table === 'Flights' ? operation.row.id : operation.row.code;
}
