/** What a piece of T-SQL becomes for SQLite, and the names that it may use. */
import { SqlError } from '../errors.ts';
import type { SqlType } from '../types.ts';
import type { Catalog, Collation, Column, Table } from './catalog.ts';
import { collationOf, columnNamed, quote } from './catalog.ts';
import { typeOf } from './values.ts';

export interface Piece {
  readonly sql: string;
  readonly type: SqlType;
  readonly collation: Collation | null;
  /** The word NULL, which is of any type. */
  readonly isNull?: boolean;
}

export const INT = typeOf('int');
export const BIGINT = typeOf('bigint');
export const BIT = typeOf('bit');
export const FLOAT = typeOf('float');
export const TEXT = typeOf('nvarchar(4000)');
export const NULL: Piece = { sql: 'NULL', type: INT, collation: null, isNull: true };

export function piece(sql: string, type: SqlType): Piece {
  return { sql, type, collation: collationOf(type, null) };
}

export interface NamedPiece extends Piece {
  readonly name: string;
}

/** One table or derived table of a FROM. */
export interface Visible {
  readonly alias: string;
  readonly columns: readonly NamedPiece[];
  readonly table: Table | null;
}

/** What one statement needs to be compiled, and what it came to use. */
export class Compiling {
  readonly catalog: Catalog;
  /** Types of variables, by name. */
  readonly variables: ReadonlyMap<string, SqlType>;
  /** Variables in the order of their places in SQLite's text: `@p0`, `@p1`, … */
  readonly uses: string[] = [];
  readonly reads = new Set<Table>();
  isLocking = false;
  /** It waits for what is being written, without taking a lock of its own. */
  isWaiting = false;

  constructor(catalog: Catalog, variables: ReadonlyMap<string, SqlType>) {
    this.catalog = catalog;
    this.variables = variables;
  }

  /** Throws 137. */
  variable(name: string): Piece {
    const type = this.variables.get(name);
    if (!type) throw new SqlError(137, `Must declare the scalar variable "${name}".`, { class: 15 });
    let at = this.uses.indexOf(name);
    if (at < 0) at = this.uses.push(name) - 1;
    return piece(`@p${at}`, type);
  }
}

export class Scope {
  readonly compiling: Compiling;
  readonly outer: Scope | null;
  readonly visible: Visible[] = [];

  constructor(compiling: Compiling, outer: Scope | null) {
    this.compiling = compiling;
    this.outer = outer;
  }

  /** Throws 207, 209, 4104. */
  column(of: string | null, name: string): Piece {
    const wanted = name.toLowerCase();
    const found = this.visible
      .filter(({ alias }) => of === null || alias.toLowerCase() === of.toLowerCase())
      .flatMap(({ columns }) => columns.filter(column => column.name.toLowerCase() === wanted));
    if (found.length > 1) throw new SqlError(209, `Ambiguous column name '${name}'.`);
    if (found[0]) return found[0];
    const isHere = of !== null && this.visible.some(({ alias }) => alias.toLowerCase() === of.toLowerCase());
    if (this.outer && !isHere) return this.outer.column(of, name);
    if (of === null || isHere) throw new SqlError(207, `Invalid column name '${name}'.`);
    throw new SqlError(4104, `The multi-part identifier "${of}.${name}" could not be bound.`);
  }

  named(alias: string): Visible | undefined {
    return this.visible.find(one => one.alias.toLowerCase() === alias.toLowerCase());
  }

  show(alias: string, table: Table | null, columns: readonly NamedPiece[]): Visible {
    if (this.named(alias)) throw new SqlError(1011, `The correlation name '${alias}' is specified multiple times.`);
    const visible = { alias, table, columns };
    this.visible.push(visible);
    return visible;
  }
}

/** Columns of a table under an alias. */
export function columnsOf(alias: string, { columns }: Table): NamedPiece[] {
  return columns.map(({ name, type, collation }) => ({ name, type, collation, sql: `${quote(alias)}.${quote(name)}` }));
}

/** Throws 207. */
export function mustColumn(table: Table, name: string): Column {
  const column = columnNamed(table, name);
  if (!column) throw new SqlError(207, `Invalid column name '${name}'.`);
  return column;
}
