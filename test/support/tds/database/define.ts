/** Statements that define or set something. Each is one transaction where it stands in none. */
import { SqlError } from '../errors.ts';
import type { IsolationLevel } from '../requests.ts';
import { isCaptured, relog } from './capture.ts';
import type { Table } from './catalog.ts';
import type { SqlSession } from './session.ts';
import type { Name, Statement } from './syntax.ts';
import { isTracked, track, trackDatabase, truncated, untrack } from './tracking.ts';

const LEVELS: readonly string[] = ['read uncommitted', 'read committed', 'repeatable read', 'serializable', 'snapshot'];
/** What a driver sets with each session, and what keymill needs them to be. */
const ON =
  'ansi_nulls ansi_null_dflt_on ansi_padding ansi_warnings arithabort concat_null_yields_null quoted_identifier';
const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(ON.split(' ').map(name => [name, ['on']])),
  numeric_roundabort: ['off'],
  implicit_transactions: ['off'],
  datefirst: ['7'],
  dateformat: ['mdy', 'ymd'],
  language: ['us_english'],
  textsize: ['2147483647', '-1'],
  cursor_close_on_commit: ['off'],
  lock_timeout: ['-1'],
};

export async function define(session: SqlSession, statement: Statement, signal: AbortSignal): Promise<void> {
  if (statement.kind === 'set-option') return setOption(session, statement);
  const { transaction, catalog, definitions, db } = session;
  if (statement.kind === 'create-table' && /^[#@]/.test(statement.name.at(-1)!)) {
    definitions.create(statement.name, statement.table);
    return;
  }
  if (statement.kind === 'drop-table' && statement.names.every(name => name.at(-1)!.startsWith('#'))) {
    for (const name of statement.names) dropOne(session, name, statement.ifExists);
    return;
  }
  if (transaction.count > 0 && (statement.kind === 'track-database' || statement.kind === 'allow-snapshots'))
    throw new SqlError(226, 'ALTER DATABASE statement not allowed within multi-statement transaction.');
  await transaction.write(signal);
  db.exec('SAVEPOINT definition');
  try {
    switch (statement.kind) {
      case 'create-table':
        if (!session.isGranted('CREATE TABLE'))
          throw new SqlError(262, `CREATE TABLE permission denied in database '${session.databaseName}'.`, {
            class: 14,
          });
        definitions.create(statement.name, statement.table);
        break;
      case 'create-schema':
        definitions.createSchema(statement.name);
        break;
      case 'drop-table':
        for (const name of statement.names) dropOne(session, name, statement.ifExists);
        break;
      case 'truncate': {
        const table = mustTable(session, statement.table, 4701);
        if (isCaptured(db, table))
          throw new SqlError(
            4711,
            `Cannot truncate table '${table.name}' because it is enabled for Change Data Capture.`,
          );
        definitions.truncate(table);
        if (isTracked(db, table)) truncated(db, table, beginOf(session));
        break;
      }
      case 'add-columns':
        definitions.addColumns(mustTable(session, statement.table, 4902), statement.columns);
        break;
      case 'drop-column':
        definitions.dropColumn(mustTable(session, statement.table, 4902), statement.column);
        relogCaptured(session, statement.table);
        break;
      case 'alter-column':
        definitions.alterColumn(mustTable(session, statement.table, 4902), statement.column);
        break;
      case 'track': {
        const table = mustTable(session, statement.table, 4902);
        mustAlter(session, table);
        track(db, table, statement.columns, beginOf(session));
        break;
      }
      case 'untrack':
        untrack(db, mustTable(session, statement.table, 4902));
        break;
      case 'track-database':
        if (!session.isGranted('ALTER'))
          throw new SqlError(5011, `User does not have permission to alter database '${session.databaseName}'.`, {
            class: 14,
          });
        trackDatabase(db, statement.on, statement.minutes, statement.cleans);
        break;
      case 'allow-snapshots':
        db.exec(`UPDATE "sys.databases" SET snapshot_isolation_state = ${statement.on ? 1 : 0}`);
        break;
      default:
        throw new SqlError(50_000, `the test server: ${statement.kind}`, { class: 18 });
    }
    db.exec('RELEASE definition');
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK TO definition; RELEASE definition');
    throw error;
  }
  void catalog.generation;
  transaction.settle(true);
}

/** Where the tracking of a table begins that is turned on or truncated now. */
function beginOf({ transaction, database }: SqlSession): bigint {
  if (database.unsure.beginVersion === 'own') return transaction.takeVersion();
  return transaction.version ?? database.version;
}

function mustTable(session: SqlSession, name: Name, number: number): Table {
  const table = session.catalog.find(name);
  if (table) return table;
  throw new SqlError(
    number,
    `Cannot find the object "${name.join('.')}" because it does not exist or you do not have permissions.`,
  );
}

/** What is logged of a table has the columns that it has. */
function relogCaptured({ db, catalog }: SqlSession, name: Name): void {
  const table = catalog.table(name);
  if (isCaptured(db, table)) relog(db, table);
}

function mustAlter(session: SqlSession, table: Table): void {
  if (!session.isGranted('ALTER', table))
    throw new SqlError(
      1088,
      `Cannot find the object "${table.schema}.${table.name}" because it does not exist or you do not have permissions.`,
    );
}

function dropOne(session: SqlSession, name: Name, ifExists: boolean): void {
  const table = session.catalog.find(name);
  if (table) session.definitions.drop(table);
  else if (!ifExists)
    throw new SqlError(
      3701,
      `Cannot drop the table '${name.join('.')}', because it does not exist or you do not have permission.`,
      { class: 11 },
    );
}

function setOption(session: SqlSession, { option, table, value }: Extract<Statement, { kind: 'set-option' }>): void {
  const isOn = value === 'on';
  switch (option) {
    case 'isolation':
      if (!LEVELS.includes(value)) break;
      session.transaction.level = value as IsolationLevel;
      return;
    case 'nocount':
      session.isCounting = !isOn;
      return;
    case 'xact_abort':
      session.abortsOnError = isOn;
      return;
    case 'identity_insert': {
      const { objectId } = session.catalog.table(table!);
      if (isOn) session.identityInsert.add(objectId);
      else session.identityInsert.delete(objectId);
      return;
    }
  }
  if (!OPTIONS[option]?.includes(value))
    throw new SqlError(50_000, `the test server: SET ${option} ${value}`, { class: 18 });
}
