/** Every statement that keymill sends, for tables whose names and types are as awkward as they can be: what the lint reads. */
import type { ReadOptions } from '../../../actors/sql/contract.ts';
import type { Command } from '../../../actors/sql/mssql/command.ts';
import { keyColumns, type Table } from '../../../actors/sql/mssql/names.ts';
import { tableCommand } from '../../../actors/sql/mssql/statements/catalog.ts';
import {
  type Captures,
  capturedCommand,
  capturedRowsCommand,
  capturesCommand,
} from '../../../actors/sql/mssql/statements/cdc.ts';
import {
  lookCommand,
  rowsCommand,
  touchCommand,
  trackCommand,
  trackDatabaseCommand,
  untrackCommand,
} from '../../../actors/sql/mssql/statements/ct.ts';
import * as leaders from '../../../actors/sql/mssql/statements/leaders.ts';
import * as own from '../../../actors/sql/mssql/statements/own.ts';
import { changesCommand, pageOf } from '../../../actors/sql/mssql/statements/pages.ts';
import { type Road, type RowSet, stageCommand } from '../../../actors/sql/mssql/statements/rows.ts';
import * as server from '../../../actors/sql/mssql/statements/server.ts';
import * as writes from '../../../actors/sql/mssql/statements/writes.ts';
import { AWKWARD, TYPES, tableFrom } from './tables.ts';

const ONCE: writes.Once = { schema: "own]'s", writer: '00000000-0000-4000-8000-000000000000', batch: 7 };
const FENCE = { lease: 'c t', token: 1, mark: '{}' };
const READ: ReadOptions = {
  filter: { sql: 't.[x] > @least', params: { least: 1 } },
  versionSelect: 'ct.version + 1000',
  operationSelect: "N'U'",
};

export function allStatements(): Command[] {
  return [
    server.ALIVE,
    server.SERVER,
    server.HEALTH,
    server.ENCRYPTION,
    server.TRACKED_TABLES,
    server.CLEANUP,
    server.CAPTURE_LAG,
    tableCommand("it's]"),
    trackDatabaseCommand(2880),
    ...own.OWN_TABLES.map(name => own.ensureCommand("own]'s", name)),
    own.bookmarkCommand("own]'s", 'c', 'dbo.t'),
    own.setBookmarkCommand("own]'s", { consumer: 'c', name: 'dbo.t', version: 1, epoch: 2 }),
    leaders.takeLeadCommand("own]'s", { lease: 'c t', owner: 'o', leaseMs: 1000 }),
    leaders.renewLeadCommand("own]'s", { lease: 'c t', token: 1, leaseMs: 1000 }),
    leaders.seeTokenCommand("own]'s", FENCE),
    leaders.leadersCommand("own]'s"),
    leaders.fenced(
      "own]'s",
      own.setBookmarkCommand("own]'s", { consumer: 'c', name: 'dbo.t', version: 1, epoch: 2 }),
      FENCE,
    ),
    leaders.fenced(
      "own]'s",
      own.setPointCommand("own]'s", { consumer: 'c', name: 'dbo.t', version: 1, lsn: new Uint8Array(10) }),
      FENCE,
    ),
    own.enterWriterCommand("own]'s", ONCE.writer),
    own.doneCommand("own]'s", ONCE.writer),
    own.pointCommand("own]'s", { consumer: 'c', name: 'dbo.t', version: null }),
    own.setPointCommand("own]'s", { consumer: 'c', name: 'dbo.t', version: 1, lsn: new Uint8Array(10) }),
    own.olderThanCommand("own]'s", { name: 'dbo.t', epoch: 1, after: '', limit: 10 }),
    ...ofTable(tableFrom(AWKWARD)),
    ...ofTable(tableFrom(TYPES)).filter(({ name }, i, all) => all.findIndex(one => one.name === name) === i),
    writes.transactionCommand(
      [
        { sql: 'INSERT INTO t (k) VALUES (@k)', params: { k: 1 } },
        { sql: 'DELETE FROM t', expectRows: 1 },
      ],
      { once: ONCE, context: 'x' },
    ),
    writes.transactionCommand([{ sql: 'DELETE FROM t' }], { once: null, context: null }),
  ];
}

function ofTable(table: Table): Command[] {
  const keys = keyColumns(table);
  const key = keys.map(column => (column.base === 'varchar' ? 'x' : 1));
  const reads = [READ, {}].flatMap((options: ReadOptions) =>
    [key, null].flatMap(at =>
      [true, false].flatMap(snapshot => {
        const how = { snapshot, tellsCommitTimes: snapshot };
        const page = pageOf(table, options, { version: 5, key: at, baseline: 3, limit: 10 }, how);
        return [
          page.command,
          changesCommand([page], how),
          changesCommand([page, page], how),
          rowsCommand(table, options, { after: at, limit: 10 }, how).command,
        ];
      }),
    ),
  );
  const columns = table.columns.filter(column => !column.isComputed);
  const set: RowSet = { index: 0, columns, rows: [] };
  const onlyKeys: RowSet = { index: 0, columns: keys, rows: [] };
  const put: writes.DeltaSet = { ...set, kind: 'put', extra: writes.DELTA_EXTRA };
  const remove: writes.DeltaSet = { ...onlyKeys, index: 1, kind: 'remove', extra: writes.DELTA_EXTRA };
  const changed = (['json', 'bulk'] as const).flatMap((road: Road) =>
    [null, 'x'].flatMap(context => {
      const how = { road, once: context === null ? null : ONCE, context };
      return [
        writes.insertCommand(table, set, how),
        writes.upsertCommand(table, set, how),
        writes.upsertCommand(table, onlyKeys, how),
        writes.removeCommand(table, onlyKeys, how),
        writes.applyCommand("own]'s", table, [put, remove], { ...how, context: null }),
      ];
    }),
  );
  const lsn = new Uint8Array(10);
  const capture = {
    instance: "a]'s instance",
    startLsn: lsn,
    columns: table.columns.map(({ name }, bit) => ({ name, bit })),
  };
  const captures: Captures = { all: [capture], stamp: 'x' };
  const captured = [{ filter: READ.filter }, {}].flatMap((options: ReadOptions) =>
    [null, { command: 1, seqval: lsn, operation: 2 }].flatMap(within => [
      capturedCommand(table, captures, capture, options, { cursor: { lsn, within }, until: within && lsn, limit: 10 })
        .command,
      capturedRowsCommand(table, captures, capture, options, { after: within && key, limit: 10 }).command,
    ]),
  );
  return [
    lookCommand(table),
    touchCommand(table),
    capturesCommand(table),
    ...captured,
    trackCommand(table, true),
    trackCommand(table, false),
    untrackCommand(table),
    stageCommand(put),
    ...reads,
    ...changed,
  ];
}
