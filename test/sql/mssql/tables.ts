/** Tables for tests of what is built out of a catalog: one of each type, and one whose names are as awkward as names can be. */

import type { SqlValue } from '../../../actors/sql/contract.ts';
import type { Table } from '../../../actors/sql/mssql/names.ts';
import { tableOf } from '../../../actors/sql/mssql/schema.ts';
import type { Column } from '../../../actors/sql/mssql/types.ts';

const COLLATION = 'Latin1_General_CI_AS';

type Form = readonly [name: string, type: string, maxLength: number, precision?: number, scale?: number];

export interface TableForm {
  readonly schema?: string;
  readonly name?: string;
  readonly columns: readonly Form[];
  readonly key: readonly string[];
  readonly computed?: readonly string[];
  readonly identity?: readonly string[];
  readonly collation?: string;
  readonly isTracked?: boolean;
  readonly tracksColumns?: boolean;
  readonly stamp?: string;
}

const TEXTS = new Set(['char', 'varchar', 'nchar', 'nvarchar', 'text', 'ntext']);

/** The two answers of the catalog. */
export function catalogOf(form: TableForm): { table: SqlValue[]; columns: SqlValue[][] } {
  const { schema = 'dbo', name = 't', columns, key, computed = [], identity = [], collation = COLLATION } = form;
  const { isTracked = true, tracksColumns = true, stamp = 'stamp 1' } = form;
  return {
    table: [42, schema, name, schema === 'dbo' ? 1 : 0, isTracked ? 1 : 0, tracksColumns, stamp],
    columns: columns.map(([column, type, maxLength, precision = 0, scale = 0], i) => [
      i + 1,
      column,
      type,
      maxLength,
      precision,
      scale,
      TEXTS.has(type) ? collation : null,
      !key.includes(column),
      computed.includes(column) || type === 'timestamp' ? 1 : 0,
      identity.includes(column),
      key.includes(column) ? key.indexOf(column) + 1 : null,
    ]),
  };
}

export function tableFrom(form: TableForm): Table {
  const { table, columns } = catalogOf(form);
  return tableOf(table, columns);
}

export const SMALL: TableForm = {
  columns: [
    ['k', 'bigint', 8],
    ['name', 'nvarchar', 100],
    ['amount', 'float', 8],
  ],
  key: ['k'],
};

export const AWKWARD: TableForm = {
  schema: "od]d 'schema",
  name: 'a table; DROP TABLE x --',
  columns: [
    ["it's a ]key[", 'varchar', 50],
    ['select', 'decimal', 9, 18, 4],
    ['/* comment', 'nvarchar', -1],
    ['näme "quoted"', 'datetime2', 8, 27, 7],
    ['version', 'money', 8, 19, 4],
    ['bytes', 'varbinary', 8000],
    ['id', 'int', 4],
    ['sum', 'int', 4],
    ['row', 'timestamp', 8],
  ],
  key: ['version', "it's a ]key["],
  computed: ['sum'],
  identity: ['id'],
};

export const TYPES: TableForm = {
  columns: [
    ['k', 'int', 4],
    ...(
      [
        ['bigint', 8],
        ['smallint', 2],
        ['tinyint', 1],
        ['bit', 1],
        ['decimal', 17, 38, 10],
        ['numeric', 9, 18, 0],
        ['money', 8, 19, 4],
        ['smallmoney', 4, 10, 4],
        ['float', 8, 53],
        ['real', 4, 24],
        ['date', 3],
        ['time', 5, 16, 7],
        ['datetime', 8, 23, 3],
        ['datetime2', 8, 27, 7],
        ['smalldatetime', 4],
        ['datetimeoffset', 10, 34, 7],
        ['char', 10],
        ['varchar', 50],
        ['varchar', -1],
        ['text', 16],
        ['nchar', 20],
        ['nvarchar', 100],
        ['nvarchar', -1],
        ['ntext', 16],
        ['binary', 8],
        ['varbinary', 100],
        ['varbinary', -1],
        ['image', 16],
        ['uniqueidentifier', 16],
        ['xml', -1],
        ['sql_variant', 8016],
      ] as const
    ).map(
      ([type, maxLength, precision = 0, scale = 0], i): Form => [`c${i} ${type}`, type, maxLength, precision, scale],
    ),
  ],
  key: ['k'],
};

export function columnNamed(table: Table, name: string): Column {
  return table.columns.find(column => column.name === name)!;
}
