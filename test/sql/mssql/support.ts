/** A SQL Server of a few functions: the wire is the TDS test server's, each statement is answered by what a test says. */

import { onTestFinished } from 'vitest';
import { Connection } from '../../../actors/sql/mssql/connection.ts';
import { MssqlDriver } from '../../../actors/sql/mssql/driver.ts';
import { type MssqlOptions, mssqlOptionsOf } from '../../../actors/sql/mssql/server-options.ts';
import { parseOptions, type SqlOptionsInput } from '../../../actors/sql/options.ts';
import {
  type Answer,
  type BulkRows,
  type BulkTarget,
  errors,
  type Handler,
  type IsolationLevel,
  type Query,
  type Session,
  type SqlValue,
  type TdsServer,
  type TdsServerOptions,
  tdsServer,
} from '../../support/tds/index.ts';
import { environment, SILENT } from '../support.ts';
import { catalogOf, SMALL, type TableForm } from './tables.ts';

type Script = (query: Query, answer: Answer, handler: Fake) => unknown;
/** By the name in the comment of the statement, else by its whole text. */
export type Scripts = Record<string, Script>;

/** One session. */
class Fake implements Handler {
  readonly session: Session;
  readonly #scripts: Scripts;
  /** Of all sessions. */
  readonly asked: string[];
  readonly loaded: { target: BulkTarget; rows: BulkRows }[];

  constructor(session: Session, scripts: Scripts, asked: string[], loaded: Fake['loaded']) {
    this.session = session;
    this.#scripts = scripts;
    this.asked = asked;
    this.loaded = loaded;
  }

  async query(query: Query, answer: Answer): Promise<void> {
    if (query.sql.startsWith('set ansi_nulls')) return;
    const name = nameOf(query.sql);
    this.asked.push(name);
    const script = this.#scripts[name];
    if (!script) throw errors.refused(`unknown: ${name}`);
    await script(query, answer, this);
  }

  begin(level: IsolationLevel | null): void {
    this.asked.push(`begin ${level ?? ''}`.trim());
  }

  commit(): void {
    this.asked.push('commit');
  }

  rollback(): void {
    this.asked.push('rollback');
  }

  bulk(target: BulkTarget): (rows: BulkRows) => number {
    this.asked.push(`bulk ${target.table}`);
    return rows => {
      this.loaded.push({ target, rows });
      return rows.rows.length;
    };
  }

  reset(): void {
    this.asked.push('reset');
  }

  close(): void {}
}

function nameOf(sql: string): string {
  return /^\/\* keymill:([\w-]+) \*\//.exec(sql)?.[1] ?? sql;
}

/** The value of a parameter, by its name without `@`. */
export function param(query: Query, name: string): SqlValue | undefined {
  return query.params.find(one => one.name === `@${name}`)?.value;
}

/** A result set, by the types of its columns. */
export async function give(answer: Answer, types: readonly string[], ...rows: readonly (readonly SqlValue[])[]) {
  answer.columns(types.map((type, i) => ({ name: `c${i}`, type })));
  for (const row of rows) await answer.row(row);
  answer.done();
}

export const FACTS = ['int', 'int', 'bit', 'int', 'nvarchar(128)'];

const TABLE = ['int', 'nvarchar(128)', 'nvarchar(128)', 'int', 'int', 'bit', 'nvarchar(4000)'];
const COLUMN = [
  'int',
  'nvarchar(128)',
  'nvarchar(128)',
  'int',
  'int',
  'int',
  'nvarchar(128)',
  'bit',
  'int',
  'bit',
  'int',
];

/** The catalog of one table, whatever its name. */
export function catalog(form: () => TableForm = () => SMALL): Scripts {
  return {
    table: async (_query, answer) => {
      const { table, columns } = catalogOf(form());
      await give(answer, TABLE, table as SqlValue[]);
      await give(answer, COLUMN, ...(columns as SqlValue[][]));
    },
  };
}

export interface FakeServer {
  readonly tds: TdsServer;
  /** What was asked, by all sessions, without what every connection begins with. */
  readonly asked: string[];
  readonly loaded: Fake['loaded'];
  options(more?: Partial<SqlOptionsInput>): MssqlOptions;
  connect(more?: Partial<SqlOptionsInput>): Promise<Connection>;
  driver(more?: Partial<SqlOptionsInput>): MssqlDriver;
}

export async function fakeServer(scripts: Scripts = {}, server: Partial<TdsServerOptions> = {}): Promise<FakeServer> {
  const asked: string[] = [];
  const loaded: Fake['loaded'] = [];
  const all: Scripts = {
    alive: (_query, answer) => give(answer, ['int'], [1]),
    server: (_query, answer) => give(answer, FACTS, [160, 1, false, 1, 'dbo']),
    'enter-writer': () => undefined,
    'ensure-done': () => undefined,
    'ensure-versions': () => undefined,
    'ensure-bookmarks': () => undefined,
    ...scripts,
  };
  const tds = await tdsServer({ open: session => new Fake(session, all, asked, loaded), ...server });
  const options = (more: Partial<SqlOptionsInput> = {}): MssqlOptions =>
    mssqlOptionsOf(
      parseOptions(
        { url: `mssql://sa:secret@127.0.0.1:${tds.port}/shop`, tls: { disabled: server.tls === undefined }, ...more },
        'io.db',
      ),
      'io.db',
    );
  return {
    tds,
    asked,
    loaded,
    options,
    connect: async more => {
      const connection = await Connection.open(options(more).connect, environment, SILENT);
      onTestFinished(() => connection.close());
      return connection;
    },
    driver: more => {
      const driver = new MssqlDriver(options(more), environment, SILENT);
      onTestFinished(() => driver.close());
      return driver;
    },
  };
}
