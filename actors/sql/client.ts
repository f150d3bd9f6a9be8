/** The typed face over asks. Streams are asks too: the database gives the next page when the reader wants it. */
import { KeymillError } from '../../runtime/index.ts';
import { trackChanges } from './changes/track.ts';
import type { ChangeItem, Delta, DeltaOutcome, Row, SqlClient, SqlValue, TableInfo, Tracked } from './contract.ts';
import type { ChangePage } from './driver.ts';
import type { ChangeCursor, Rows, SqlOp } from './ops.ts';

const STREAM_ROWS = 256;

export function clientOf(ask: (op: unknown) => Promise<unknown>): SqlClient {
  const call = <T>(op: SqlOp): Promise<T> => ask(op) as Promise<T>;
  const client: SqlClient = {
    query: (sql, params) => call({ op: 'query', sql, params }),
    async execute(sql, params, options) {
      const [done] = await client.transaction([{ sql, params }], options);
      return done!;
    },
    transaction: (statements, options) => call({ op: 'transaction', statements, context: options?.context }),
    async *stream<R extends Row>(sql: string, params = {}, { chunk = STREAM_ROWS } = {}) {
      const cursor = crypto.randomUUID();
      let rows = await call<R[]>({ op: 'open', cursor, sql, params, rows: chunk });
      try {
        for (;;) {
          yield* rows;
          if (rows.length < chunk) return;
          rows = await call<R[]>({ op: 'fetch', cursor, rows: chunk });
        }
      } finally {
        await call({ op: 'close', cursor });
      }
    },
    insert: (table, rows, options) => call({ op: 'insert', table, rows: rowsOf(rows), context: options?.context }),
    upsert: (table, rows, options) => call({ op: 'upsert', table, rows: rowsOf(rows), context: options?.context }),
    remove: (table, keys, options) => call({ op: 'remove', table, rows: rowsOf(keys), context: options?.context }),
    apply: (table, deltas: readonly Delta[]) => call<DeltaOutcome[]>({ op: 'apply', table, deltas }),
    async *olderThan(table, epoch) {
      let after: string | null = null;
      for (;;) {
        const found: { pk: Row; key: string }[] = await call({ op: 'olderThan', table, epoch, after });
        if (found.length === 0) return;
        for (const { pk } of found) yield pk;
        after = found.at(-1)!.key;
      }
    },
    describe: table => call<TableInfo>({ op: 'describe', table }),
    track: async (table, options = {}) => {
      await call({ op: 'track', table, options });
    },
    untrack: async table => {
      await call({ op: 'untrack', table });
    },
    tracked: table => call<Tracked>({ op: 'tracked', table }),
    async *getChanges(table, { since, ...options }): AsyncGenerator<ChangeItem> {
      let after: ChangeCursor = { version: since, pk: null };
      for (;;) {
        const page = await call<ChangePage>({
          op: 'changes',
          request: { table, after, baseline: since, epoch: 0, options },
        });
        yield* page.changes;
        if (page.isLast) return;
        after = page.next;
      }
    },
    trackChanges: (table, options = {}) =>
      trackChanges(
        {
          tracked: () => client.tracked(table),
          page: (after, baseline, read) =>
            call({ op: 'changes', request: { table, after, baseline, epoch: 0, options: read } }),
        },
        options,
      ),
  };
  return client;
}

/** Throws SQL_FAILED where rows have different columns. */
function rowsOf(rows: readonly Row[]): Rows {
  const columns = Object.keys(rows[0] ?? {});
  const values = rows.map((row, index) => {
    const own: SqlValue[] = [];
    for (const column of columns) {
      const value = row[column];
      if (value === undefined) throw uneven(index, `lacks ${column}`);
      own.push(value);
    }
    if (Object.keys(row).length !== columns.length) throw uneven(index, `has more columns than ${columns.join(', ')}`);
    return own;
  });
  return { columns, values };
}

function uneven(index: number, how: string): KeymillError {
  return new KeymillError('SQL_FAILED', `row ${index} of the write ${how}: all rows must have the same columns`, {
    class: 'fatal',
  });
}
