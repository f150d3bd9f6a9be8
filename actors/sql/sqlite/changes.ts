/**
 * Reads changes and rows page by page. What a page says is of one moment: validity, where the database is, changes and
 * the rows they point at are read in one transaction, which SQLite gives one snapshot. The current version is read before the
 * changes all the same, and validity again after them, so that the order also holds where there are no snapshots.
 */
import { KeymillError } from '../../../runtime/index.ts';
import { lost } from '../changes/lost.ts';
import type { ChangeItem, Operation, ReadOptions, Row, SqlValue, TableInfo, Tracked } from '../contract.ts';
import type { ChangePage, RowPage, RowsRequest } from '../driver.ts';
import type { ChangeCursor, PageRequest } from '../ops.ts';
import type { Database } from './database.ts';
import { columnOf, quote } from './names.ts';
import type { Schema } from './schema.ts';
import { sideOf } from './tracking.ts';

export const PAGE_ROWS = 1000;
const OPERATIONS: Readonly<Record<string, Operation>> = { I: 'INSERT', U: 'UPDATE', D: 'DELETE' };

/** For tests of races: told before each step of a page. */
export type OnStep = (step: 'look' | 'changes' | 'check') => void;

export interface ChangesOptions {
  /** Without it steps of a page may see different moments, as on a server that allows no snapshots. */
  readonly snapshot: boolean;
  readonly onStep?: OnStep | undefined;
}

export class Changes {
  readonly #db: Database;
  readonly #schema: Schema;
  readonly #options: ChangesOptions;

  constructor(db: Database, schema: Schema, options: ChangesOptions) {
    this.#db = db;
    this.#schema = schema;
    this.#options = options;
  }

  /** Throws TRACKING_OFF, TABLE_UNKNOWN. */
  tracked(table: string): Tracked {
    return this.#atOnce(() => this.#look(this.#schema.table(table)).tracked);
  }

  page({ table, after, baseline, epoch, options }: PageRequest): ChangePage {
    return this.#atOnce(() => {
      this.#step('look');
      const info = this.#schema.table(table);
      const { tracked, began, columns } = this.#look(info);
      refuseInvalid(info.table, tracked, began, after);
      this.#step('changes');
      if (options.before) this.#db.exec(options.before);
      const limit = options.pageSize ?? PAGE_ROWS;
      const select = changeSelect(info, options, after.pk !== null);
      const params: Record<string, SqlValue> = {
        ...options.filter?.params,
        kmVersion: after.version,
        kmBase: baseline,
        kmLimit: limit,
      };
      for (const [i, value] of (after.pk ?? []).entries()) params[`kmKey${i}`] = value;
      const rows = this.#db.arrays(select.sql, params);
      this.#step('check');
      const again = this.#look(info);
      refuseInvalid(info.table, again.tracked, again.began, after);
      const changes: ChangeItem[] = [];
      let last: readonly SqlValue[] | null = null;
      let version = after.version;
      for (const row of rows) {
        // A row whose table row has gone meanwhile comes as a DELETE of a later version.
        const item = this.#itemOf(info, select, row, columns, baseline, epoch);
        version = row[0] as number;
        last = row.slice(FIXED, FIXED + info.key.length);
        if (item) changes.push(item);
      }
      const isLast = rows.length < limit;
      const next = isLast ? { version: Math.max(tracked.current, version), pk: null } : { version, pk: last };
      return { ...tracked, changes, next, isLast };
    });
  }

  rows({ table, after, options }: RowsRequest): RowPage & Tracked {
    return this.#atOnce(() => {
      const info = this.#schema.table(table);
      const { tracked } = this.#look(info);
      const { sql, data } = rowSelect(info, options, after !== null);
      const limit = options.pageSize ?? PAGE_ROWS;
      const params: Record<string, SqlValue> = { ...options.filter?.params, kmLimit: limit };
      for (const [i, value] of (after ?? []).entries()) params[`kmKey${i}`] = value;
      const found = this.#db.arrays(sql, params);
      const keys = info.key.length;
      const rows = found.map(row => {
        const pk: Row = {};
        for (let i = 0; i < keys; i++) pk[info.key[i]!] = row[i]!;
        const all: Row = {};
        for (let i = 0; i < data.length; i++) all[data[i]!] = row[keys + i]!;
        return { pk, data: all };
      });
      return { ...tracked, rows, next: found.length < limit ? null : found.at(-1)!.slice(0, keys) };
    });
  }

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #atOnce<T>(fn: () => T): T {
    return this.#options.snapshot ? this.#db.transaction('DEFERRED', fn) : fn();
  }

  #step(step: Parameters<OnStep>[0]): void {
    this.#options.onStep?.(step);
  }

  #look(info: TableInfo): { tracked: Tracked; began: number; columns: readonly string[] | null } {
    const row = info.isTracked
      ? this.#db.first(
          `SELECT s.current, s.incarnation, t.min_valid, t.began, t.columns
           FROM keymill_ct_state s LEFT JOIN keymill_ct_tables t ON t.name = @name`,
          { name: info.table },
        )
      : undefined;
    // A position is never below NULL, so a NULL would pass for valid (reference 0.7).
    if (!row || row['min_valid'] === null)
      throw new KeymillError('TRACKING_OFF', `changes of ${info.table} are not tracked`, { place: { at: info.table } });
    const { current, incarnation, min_valid: minValid, began, columns } = row as unknown as Looked;
    return {
      tracked: { current, minValid, incarnation },
      began,
      columns: columns === null ? null : (JSON.parse(columns) as string[]),
    };
  }

  #itemOf(
    info: TableInfo,
    select: ChangeSelect,
    row: readonly SqlValue[],
    masked: readonly string[] | null,
    baseline: number,
    epoch: number,
  ): ChangeItem | null {
    const [, versionId, override, first, last, mask, time, context, earliest, present] = row as [
      number,
      number,
      string | null,
      string,
      string,
      number | bigint | null,
      number,
      string | null,
      number,
      number,
    ];
    const keys = info.key.length;
    const pk: Row = {};
    for (let i = 0; i < keys; i++) pk[info.key[i]!] = row[FIXED + i]!;
    const isAlone = earliest === row[0];
    const history = isAlone || last === 'D' ? null : this.#history(info, row.slice(FIXED, FIXED + keys), baseline);
    const stoodBefore = (history?.first ?? first) !== 'I';
    const operation =
      (override && OPERATIONS[override]) || (last === 'D' ? 'DELETE' : stoodBefore ? 'UPDATE' : 'INSERT');
    if (operation !== 'DELETE' && !present) return null;
    let data: Row | null = null;
    if (operation !== 'DELETE') {
      data = {};
      for (let i = 0; i < select.data.length; i++) data[select.data[i]!] = row[FIXED + keys + i]!;
    }
    const bits = history ? history.mask : mask;
    const changed =
      operation !== 'UPDATE' || bits === null || masked === null || !isMaskOf(info, masked)
        ? null
        : namesOf(bits, masked);
    return { table: info.table, versionId, epoch, operation, pk, data, changed, captureTime: time, context };
  }

  /** All that happened to a row since the baseline, where that is more than its last change. */
  #history(info: TableInfo, key: readonly SqlValue[], baseline: number): { first: string; mask: bigint | null } {
    const where = info.key.map((_, i) => `k${i} = @kmKey${i}`).join(' AND ');
    const params: Record<string, SqlValue> = { kmBase: baseline };
    for (const [i, value] of key.entries()) params[`kmKey${i}`] = value;
    const rows = this.#db.all(
      `SELECT first, mask FROM ${quote(sideOf(info))} WHERE ${where} AND version > @kmBase ORDER BY version`,
      params,
    );
    let mask: bigint | null = 0n;
    for (const row of rows) mask = mask === null || row['mask'] === null ? null : mask | BigInt(row['mask'] as number);
    return { first: String(rows[0]!['first']), mask };
  }
}

interface Looked {
  readonly current: number;
  readonly incarnation: string;
  readonly min_valid: number;
  readonly began: number;
  readonly columns: string | null;
}

/** Columns of a change before its key: see changeSelect. */
const FIXED = 10;

interface ChangeSelect {
  readonly sql: string;
  /** Columns of `data`, in their order. */
  readonly data: readonly string[];
}

/** The last change of each row above a position, with the row as it is now; by version, and by key within one. */
function changeSelect(info: TableInfo, options: ReadOptions, isWithin: boolean): ChangeSelect {
  const data = dataColumns(info, options);
  const side = quote(sideOf(info));
  const keys = info.key.map((_, i) => `k${i}`);
  const same = (alias: string): string => keys.map(key => `${alias}.${key} = ct.${key}`).join(' AND ');
  const join = info.key.map((name, i) => `t.${quote(name)} = ct.k${i}`).join(' AND ');
  const present = `t.${quote(info.key[0]!)} IS NOT NULL`;
  const after = isWithin
    ? `(ct.version, ${keys.map(key => `ct.${key}`).join(', ')}) > (@kmVersion, ${keys.map((_, i) => `@kmKey${i}`).join(', ')})`
    : 'ct.version > @kmVersion';
  const columns = [
    'ct.version',
    options.versionSelect ?? 'ct.version',
    options.operationSelect ?? 'NULL',
    'ct.first',
    'ct.last',
    'ct.mask',
    'ct.time',
    'ct.context',
    `(SELECT min(f.version) FROM ${side} f WHERE ${same('f')} AND f.version > @kmBase)`,
    present,
    ...keys.map(key => `ct.${key}`),
    ...data.map(name => `t.${quote(name)}`),
  ];
  const sql = `SELECT ${columns.join(', ')}
    FROM ${side} ct LEFT JOIN ${quote(info.table)} t ON ${join}
    WHERE ${after} AND NOT EXISTS (SELECT 1 FROM ${side} n WHERE ${same('n')} AND n.version > ct.version)
    ${options.filter ? `AND (ct.last = 'D' OR (${options.filter.sql}))` : ''}
    ORDER BY ct.version, ${keys.map(key => `ct.${key}`).join(', ')} LIMIT @kmLimit`;
  return { sql, data };
}

function rowSelect(info: TableInfo, options: ReadOptions, isWithin: boolean): ChangeSelect {
  if (info.key.length === 0)
    throw new KeymillError('TABLE_NO_KEY', `${info.table} has no primary key`, { place: { at: info.table } });
  const data = dataColumns(info, options);
  const keys = info.key.map(name => `t.${quote(name)}`);
  const conditions = [
    ...(isWithin ? [`(${keys.join(', ')}) > (${keys.map((_, i) => `@kmKey${i}`).join(', ')})`] : []),
    ...(options.filter ? [`(${options.filter.sql})`] : []),
  ];
  const sql = `SELECT ${[...keys, ...data.map(name => `t.${quote(name)}`)].join(', ')} FROM ${quote(info.table)} t
    ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''} ORDER BY ${keys.join(', ')} LIMIT @kmLimit`;
  return { sql, data };
}

/** Key columns belong to the data too, so that it is the whole row. */
function dataColumns(info: TableInfo, { columns }: ReadOptions): string[] {
  if (columns) return [...new Set([...info.key, ...columns.map(name => columnOf(info, name))])];
  return info.columns.map(column => column.name);
}

function isMaskOf(info: TableInfo, masked: readonly string[]): boolean {
  const names = info.columns.filter(column => !column.isKey && !column.isComputed).map(column => column.name);
  return names.length === masked.length && names.every((name, i) => name === masked[i]);
}

function namesOf(bits: number | bigint, masked: readonly string[]): string[] {
  const mask = BigInt(bits);
  return masked.filter((_, bit) => ((mask >> BigInt(bit)) & 1n) === 1n);
}

/** Throws TRACKING_LOST: going on from here would pass over changes. */
function refuseInvalid(
  table: string,
  { current, minValid }: Tracked,
  began: number,
  { version, pk }: ChangeCursor,
): void {
  if (version > current)
    throw lost(table, 'went-back', `version ${version} was read, and the database is at ${current}`);
  // Within a version the rest of it is needed, and that is kept only from the version before on.
  const needed = pk === null ? version : version - 1;
  if (needed < minValid)
    throw lost(
      table,
      needed < began ? 'truncated' : 'cleaned',
      `changes since version ${needed} are wanted, and they are kept since ${minValid}`,
    );
}
