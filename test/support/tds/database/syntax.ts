/** The part of T-SQL that this server reads, as a tree. Names of columns and tables are as they were written. */

/** Parts of a name, the last one the object's: `[dbo].[t]` is two. A table variable keeps its `@`. */
export type Name = readonly string[];

export type Expression =
  | { readonly kind: 'null' }
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'number'; readonly value: string }
  | { readonly kind: 'bytes'; readonly value: string }
  /** In lower case with its `@`, or a global one with `@@`. */
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'column'; readonly of: string | null; readonly name: string }
  | { readonly kind: 'negative'; readonly value: Expression }
  | { readonly kind: 'arithmetic'; readonly sign: string; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'compare'; readonly sign: string; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'logic'; readonly sign: 'AND' | 'OR'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'not'; readonly value: Expression }
  | { readonly kind: 'isNull'; readonly value: Expression; readonly isNot: boolean }
  | {
      readonly kind: 'in';
      readonly value: Expression;
      readonly list: readonly Expression[] | Select;
      readonly isNot: boolean;
    }
  | {
      readonly kind: 'between';
      readonly value: Expression;
      readonly low: Expression;
      readonly high: Expression;
      readonly isNot: boolean;
    }
  | { readonly kind: 'like'; readonly value: Expression; readonly pattern: Expression; readonly isNot: boolean }
  | { readonly kind: 'exists'; readonly select: Select }
  | { readonly kind: 'scalar'; readonly select: Select }
  | {
      readonly kind: 'case';
      readonly value: Expression | null;
      readonly whens: readonly { readonly when: Expression; readonly give: Expression }[];
      readonly otherwise: Expression | null;
    }
  | {
      readonly kind: 'call';
      /** In lower case, with its schema where it has one. */
      readonly name: string;
      readonly args: readonly Expression[];
      /** COUNT(*), COUNT(DISTINCT x). */
      readonly isStar: boolean;
      readonly isDistinct: boolean;
      readonly over: { readonly partition: readonly Expression[]; readonly order: readonly Order[] } | null;
    }
  | { readonly kind: 'convert'; readonly type: string; readonly value: Expression; readonly style: Expression | null }
  | { readonly kind: 'collate'; readonly value: Expression; readonly collation: string };

export interface Order {
  readonly value: Expression;
  readonly isDescending: boolean;
}

export type Item =
  /** `*` or `t.*`. */
  | { readonly kind: 'star'; readonly of: string | null }
  /** `into`: SELECT @v = …. */
  | { readonly kind: 'value'; readonly value: Expression; readonly alias: string | null; readonly into: string | null };

export type Source =
  | { readonly kind: 'table'; readonly name: Name; readonly alias: string | null; readonly hints: readonly string[] }
  | {
      readonly kind: 'derived';
      readonly select: Select | { readonly kind: 'values'; readonly rows: readonly (readonly Expression[])[] };
      readonly alias: string;
      readonly columns: readonly string[] | null;
    }
  | {
      readonly kind: 'openjson';
      readonly value: Expression;
      readonly columns: readonly { readonly name: string; readonly type: string; readonly path: string }[];
      readonly alias: string;
    }
  | { readonly kind: 'changes'; readonly table: Name; readonly since: Expression; readonly alias: string }
  | {
      readonly kind: 'join';
      readonly how: 'INNER' | 'LEFT' | 'CROSS';
      readonly left: Source;
      readonly right: Source;
      readonly on: Expression | null;
    };

export interface Select {
  readonly kind: 'select';
  readonly isDistinct: boolean;
  readonly top: Expression | null;
  readonly items: readonly Item[];
  readonly from: readonly Source[];
  readonly where: Expression | null;
  readonly group: readonly Expression[];
  readonly having: Expression | null;
  readonly order: readonly Order[];
  /** UNION ALL of these too. */
  readonly more: readonly Select[];
}

export interface ColumnDefinition {
  readonly name: string;
  readonly type: string;
  readonly collation: string | null;
  readonly isNullable: boolean | null;
  readonly isKey: boolean;
  readonly isUnique: boolean;
  readonly identity: { readonly seed: number; readonly step: number } | null;
  readonly standard: Expression | null;
}

export interface TableDefinition {
  readonly columns: readonly ColumnDefinition[];
  readonly key: readonly string[];
  readonly uniques: readonly (readonly string[])[];
}

export type Assignment = { readonly column: string; readonly value: Expression };

/** `context`: what stands in WITH CHANGE_TRACKING_CONTEXT (…) before it. */
interface Writing {
  readonly context: Expression | null;
}

export type Output = readonly Item[] | null;

export type Action =
  | { readonly kind: 'select'; readonly select: Select }
  | (Writing & {
      readonly kind: 'insert';
      readonly table: Name;
      readonly columns: readonly string[] | null;
      readonly rows: Select | { readonly kind: 'values'; readonly rows: readonly (readonly Expression[])[] };
      readonly output: Output;
    })
  | (Writing & {
      readonly kind: 'update';
      /** A table, or the alias of one in `from`. */
      readonly target: Name;
      readonly hints: readonly string[];
      readonly set: readonly Assignment[];
      readonly from: readonly Source[];
      readonly where: Expression | null;
      readonly output: Output;
    })
  | (Writing & {
      readonly kind: 'delete';
      readonly top: Expression | null;
      readonly target: Name;
      readonly hints: readonly string[];
      readonly from: readonly Source[];
      readonly where: Expression | null;
      readonly output: Output;
    })
  | {
      readonly kind: 'declare';
      readonly variables: readonly {
        readonly name: string;
        readonly type: string;
        readonly value: Expression | null;
      }[];
    }
  | { readonly kind: 'declare-table'; readonly name: string; readonly table: TableDefinition }
  | { readonly kind: 'set-variable'; readonly name: string; readonly value: Expression }
  /** `option`: `nocount`, `xact_abort`, `identity_insert [t]`; `value` in lower case. */
  | { readonly kind: 'set-option'; readonly option: string; readonly table: Name | null; readonly value: string }
  | { readonly kind: 'if'; readonly when: Expression; readonly action: Statement; readonly otherwise: Statement | null }
  | { readonly kind: 'block'; readonly statements: readonly Statement[] }
  | { readonly kind: 'begin' | 'commit' | 'rollback' | 'return' | 'checkpoint' }
  | { readonly kind: 'throw'; readonly number: Expression; readonly message: Expression; readonly state: Expression }
  | {
      readonly kind: 'execute';
      readonly procedure: string;
      readonly args: readonly { readonly name: string | null; readonly value: Expression }[];
    }
  | { readonly kind: 'create-table'; readonly name: Name; readonly table: TableDefinition }
  | { readonly kind: 'create-schema'; readonly name: string }
  | { readonly kind: 'drop-table'; readonly names: readonly Name[]; readonly ifExists: boolean }
  | { readonly kind: 'truncate'; readonly table: Name }
  | { readonly kind: 'add-columns'; readonly table: Name; readonly columns: readonly ColumnDefinition[] }
  | { readonly kind: 'drop-column'; readonly table: Name; readonly column: string }
  | { readonly kind: 'alter-column'; readonly table: Name; readonly column: ColumnDefinition }
  | { readonly kind: 'track'; readonly table: Name; readonly columns: boolean }
  | { readonly kind: 'untrack'; readonly table: Name }
  | { readonly kind: 'track-database'; readonly on: boolean; readonly minutes: number; readonly cleans: boolean }
  | { readonly kind: 'allow-snapshots'; readonly on: boolean };

/** `text`: as it was written. */
export type Statement = Action & { readonly text: string };
export type Batch = readonly Statement[];
