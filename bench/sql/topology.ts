/** The sql I/O actor with its defaults, and on each host a handler that inserts rows, batch after batch. */
import type { SqlClient } from '../../actors/sql/contract.ts';
import { sql } from '../../actors/sql/index.ts';
import { defineActor, defineTopology } from '../../runtime/index.ts';
import { type Load, rowsFrom } from './load.ts';

/** Without a load: which host is it? */
export interface Driving {
  readonly place: number;
  readonly load?: Load;
  readonly worker?: number;
}

export interface Driven {
  readonly host: number;
  readonly rows: number;
}

const drive = defineActor<Driving, Driven>({
  key: ({ place }) => place,
  async handle({ load, worker = 0 }, ctx) {
    if (!load) return { host: ctx.host, rows: 0 };
    const client = ctx.io<SqlClient>('sql');
    const each = load.rows / load.workers;
    let rows = 0;
    for (let n = 0; n < each; n += load.batch)
      rows += (await client.insert('Records', rowsFrom(load, worker * each + n))).rows;
    return { host: ctx.host, rows };
  },
  options: { timeoutMs: 0 },
});

export default defineTopology({
  module: import.meta.url,
  name: 'bench-sql',
  io: { sql: sql({ url: 'sqlite:unused.db' }) },
  actors: { drive },
});
