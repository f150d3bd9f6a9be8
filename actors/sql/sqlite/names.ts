/** Names in SQL: only those that the database has, and quoted. */
import { KeymillError } from '../../../runtime/index.ts';
import type { TableInfo } from '../contract.ts';

export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The column as the table spells it. Throws SQL_IDENTIFIER. */
export function columnOf(info: TableInfo, name: string): string {
  const wanted = name.toLowerCase();
  const found = info.columns.find(column => column.name.toLowerCase() === wanted);
  if (!found)
    throw new KeymillError(
      'SQL_IDENTIFIER',
      `${info.table} has no column ${JSON.stringify(name)}; it has ${info.columns.map(column => column.name).join(', ')}`,
      { place: { at: info.table } },
    );
  return found.name;
}
