/** A table whose changes go to a handler that does nothing but count. */

import type { ChangeRecord } from '../../actors/sql/contract.ts';
import { sql } from '../../actors/sql/index.ts';
import { recordIdOf } from '../../actors/sync/index.ts';
import { defineActor, defineTopology } from '../../runtime/index.ts';

const count = defineActor<ChangeRecord>({
  key: record => ('pk' in record ? recordIdOf(record.pk) : record.table),
  handle(record, ctx) {
    if ('pk' in record && !record.isResync) ctx.observe('detected', Date.now() - record.captureTime);
  },
});

export default defineTopology({
  module: import.meta.url,
  name: 'changes',
  threads: 1,
  io: { sql: sql({ url: 'sqlite:bench.db' }) },
  sources: {
    changes: { from: 'sql', read: { table: 'Flights', track: true, start: 'now' }, to: 'count', checkpoint: true },
  },
  actors: { count: { use: count } },
});
