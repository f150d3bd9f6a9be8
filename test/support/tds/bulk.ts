/** Bulk load: the batch that announces it, and its rows (reference 3.12). */
import { Reader, TdsFault } from './bytes.ts';
import { type ReadType, readType, readValue } from './codec.ts';
import { TOKEN } from './tokens.ts';
import type { SqlType, SqlValue } from './types.ts';

export interface BulkTarget {
  /** As it stands in the batch: `[dbo].[t]`, `#t`. */
  readonly table: string;
  /** With brackets taken off the names; the type as it stands there. */
  readonly columns: readonly { readonly name: string; readonly declaration: string }[];
  /** In upper case: CHECK_CONSTRAINTS, FIRE_TRIGGERS, KEEP_NULLS, TABLOCK, ORDER (…). */
  readonly options: readonly string[];
}

export interface BulkColumn {
  readonly name: string;
  readonly type: SqlType;
}

/** All that came of one load. */
export interface BulkRows {
  readonly columns: readonly BulkColumn[];
  readonly rows: readonly (readonly SqlValue[])[];
}

const INSERT =
  /^\s*insert\s+bulk\s+((?:\[(?:[^\]]|\]\])*\]|[^\s([.])+(?:\s*\.\s*(?:\[(?:[^\]]|\]\])*\]|[^\s([.])*)*)\s*\(/i;
const WITH = /^\s*(?:with\s*\(([\s\S]*)\)\s*)?;?\s*$/i;
const NAME = /^\s*(?:\[((?:[^\]]|\]\])*)\]|([^\s[\]]+))\s+([\s\S]+?)\s*$/;
const COLLATE = /\s+collate\s+\w+$/i;

export const isBulk = (sql: string): boolean => /^\s*insert\s+bulk\b/i.test(sql);

/** Null for what is none. */
export function bulkTarget(sql: string): BulkTarget | null {
  const head = INSERT.exec(sql);
  if (!head) return null;
  const inside = parts(sql.slice(head[0].length));
  const tail = inside && WITH.exec(inside.rest);
  const columns = inside?.items.map(columnOf) ?? [];
  if (!inside || !tail || columns.some(column => column === null)) return null;
  const options = parts(`${tail[1] ?? ''})`)?.items ?? [];
  return {
    table: head[1]!,
    columns: columns.map(column => column!),
    options: options.map(option => option.trim().toUpperCase()).filter(option => option !== ''),
  };
}

function columnOf(text: string): BulkTarget['columns'][number] | null {
  const [, quoted, plain, declaration] = NAME.exec(text) ?? [];
  if (!declaration) return null;
  return { name: quoted?.replaceAll(']]', ']') ?? plain!, declaration: declaration.replace(COLLATE, '') };
}

/** What stands between commas up to the bracket that closes; null where none does. */
function parts(text: string): { readonly items: readonly string[]; readonly rest: string } | null {
  const items: string[] = [];
  let depth = 0;
  let isQuoted = false;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (isQuoted) isQuoted = char !== ']';
    else if (char === '[') isQuoted = true;
    else if (char === '(') depth++;
    else if (char === ')' && depth > 0) depth--;
    else if ((char === ',' && depth === 0) || char === ')') {
      items.push(text.slice(from, at));
      from = at + 1;
      if (char === ')') return { items, rest: text.slice(from) };
    }
  }
  return null;
}

/** Of the message that follows. */
export function readBulk(payload: Buffer): BulkRows {
  const reader = new Reader(payload);
  if (reader.u8() !== TOKEN.columns) throw new TdsFault('rows without their columns');
  const count = reader.u16();
  const columns: BulkColumn[] = [];
  const types: ReadType[] = [];
  for (let index = 0; index < count; index++) {
    reader.take(6);
    const type = readType(reader);
    types.push(type);
    columns.push({ name: reader.shortText(), type: type.type });
  }
  const rows: SqlValue[][] = [];
  for (;;) {
    const token = reader.u8();
    if (token === TOKEN.row) rows.push(types.map(type => readValue(reader, type)));
    else if (token === TOKEN.done && reader.rest === 12) return { columns, rows };
    else throw new TdsFault(`token 0x${token.toString(16)} among rows`);
  }
}
