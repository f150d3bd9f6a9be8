/** Names in SQL: only those that the catalog has, and quoted. */
import { KeymillError } from '../../../runtime/index.ts';
import type { TableInfo } from '../contract.ts';
import type { Column } from './types.ts';

export interface Table extends TableInfo {
  readonly objectId: number;
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly Column[];
  /** Of UPDATEs it is known which columns they changed. */
  readonly tracksColumns: boolean;
  /** Another value: another table, or other columns. */
  readonly stamp: string;
  /** `[schema].[name]` */
  readonly quoted: string;
}

export function quote(name: string): string {
  return `[${name.replaceAll(']', ']]')}]`;
}

/** A text in SQL. */
export function literal(text: string): string {
  return `N'${text.replaceAll("'", "''")}'`;
}

/** Throws SQL_IDENTIFIER. */
export function columnOf(table: Table, name: string): Column {
  const wanted = name.toLowerCase();
  const found =
    table.columns.find(column => column.name === name) ??
    table.columns.find(column => column.name.toLowerCase() === wanted);
  if (!found)
    throw new KeymillError(
      'SQL_IDENTIFIER',
      `${table.table} has no column ${JSON.stringify(name)}; it has ${table.columns.map(column => column.name).join(', ')}`,
      { place: { at: table.table } },
    );
  return found;
}

/** Throws TABLE_NO_KEY. */
export function keyColumns(table: Table): Column[] {
  if (table.key.length === 0)
    throw new KeymillError('TABLE_NO_KEY', `${table.table} has no primary key`, { place: { at: table.table } });
  return table.key.map(name => columnOf(table, name));
}

/** Throws TABLE_NO_KEY, SQL_IDENTIFIER. */
export function mustHaveKey(table: Table, names: readonly string[]): void {
  const given = new Set(names.map(name => columnOf(table, name).name));
  const missing = keyColumns(table).filter(column => !given.has(column.name));
  if (missing.length > 0)
    throw new KeymillError(
      'SQL_IDENTIFIER',
      `the key of ${table.table} is ${table.key.join(', ')}; missing: ${missing.map(column => column.name).join(', ')}`,
      { place: { at: table.table } },
    );
}
