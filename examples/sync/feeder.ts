import type { SqlClient, Statement } from '../../actors/sql/contract.ts';
import { defineActor } from '../../runtime/index.ts';
import type { Operation } from './feed.ts';
import { makeTables } from './tables.ts';

/** Writes the operations of a batch in one transaction, so they have one version. */
export default defineActor<Operation>({
  key: operation =>
    operation.do === 'remove' ? operation.id : operation.table === 'Flights' ? operation.row.id : operation.row.code,
  async init(ctx) {
    await makeTables(ctx.io<SqlClient>('sql'));
    await makeTables(ctx.io<SqlClient>('replica'));
  },
  async handleBatch(operations, ctx) {
    await ctx.io<SqlClient>('sql').transaction(operations.map(statementOf), { context: 'feeder' });
  },
  options: { batch: { across: 'keys', flushMs: 0, max: 500 } },
});

function statementOf(operation: Operation): Statement {
  if (operation.do === 'remove') return { sql: 'DELETE FROM Flights WHERE id = @id', params: { id: operation.id } };
  if (operation.table === 'Airports')
    return {
      sql: `INSERT INTO Airports (code, flights, lastFlight) VALUES (@code, @flights, @lastFlight)
        ON CONFLICT (code) DO UPDATE SET flights = excluded.flights, lastFlight = excluded.lastFlight`,
      params: { ...operation.row },
    };
  return {
    sql: `INSERT INTO Flights (id, date, origin, destination, delay, distance)
      VALUES (@id, @date, @origin, @destination, @delay, @distance)
      ON CONFLICT (id) DO UPDATE SET delay = excluded.delay`,
    params: { ...operation.row },
  };
}
