/** Tables and their columns, as one connection sees them. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { SqlError } from '../errors.ts';
import type { SqlType } from '../types.ts';
import { MAX } from '../types.ts';
import type { Name } from './syntax.ts';
import { SYSTEM_TABLES } from './system-tables.ts';
import { familyOf, typeOf } from './values.ts';

/** Texts are compared without regard to case, or by their code units. */
export type Collation = 'ci' | 'bin';

export interface Column {
  readonly id: number;
  readonly name: string;
  readonly type: SqlType;
  readonly isNullable: boolean;
  /** Of texts; null for other types. */
  readonly collation: Collation | null;
  readonly identity: { readonly seed: number; readonly step: number } | null;
  /** In T-SQL. */
  readonly standard: string | null;
}

export interface Table {
  readonly objectId: number;
  readonly schema: string;
  readonly name: string;
  /** As SQLite must write it. */
  readonly place: string;
  readonly columns: readonly Column[];
  /** Ids of the key's columns, in its order. */
  readonly key: readonly Column[];
  /** Of the catalog, a session's own (`#t`, `@t`), or the user's. */
  readonly kind: 'system' | 'temporary' | 'user';
}

export function collationOf(type: SqlType, name: string | null): Collation | null {
  if (familyOf(type) !== 'text') return null;
  return name !== null && /_(BIN2?|CS_\w+)$/i.test(name) ? 'bin' : 'ci';
}

export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function columnNamed({ columns }: Pick<Table, 'columns'>, name: string): Column | undefined {
  const wanted = name.toLowerCase();
  return columns.find(column => column.name.toLowerCase() === wanted);
}

export const DEFAULT_SCHEMA = 'dbo';
const system = new Map<string, Table>();
for (const [full, columns] of Object.entries(SYSTEM_TABLES)) {
  const [schema, name] = full.split('.') as [string, string];
  system.set(full.toLowerCase(), systemTable(schema, name, columns));
}
system.set('sys.tables', { ...system.get('sys.objects')!, name: 'tables', place: '"sys.tables"' });
system.set('sys.all_columns', { ...system.get('sys.columns')!, name: 'all_columns' });
system.set('sys.dm_exec_sessions', {
  ...systemTable('sys', 'dm_exec_sessions', [
    ['session_id', 'int'],
    ['transaction_isolation_level', 'smallint'],
  ]),
  place: '(SELECT km_spid() AS session_id, km_isolation() AS transaction_isolation_level)',
});
system.set('sys.dm_exec_connections', {
  ...systemTable('sys', 'dm_exec_connections', [
    ['session_id', 'int'],
    ['encrypt_option', 'nvarchar(40)'],
  ]),
  place: '(SELECT km_spid() AS session_id, km_encrypted() AS encrypt_option)',
});

function systemTable(schema: string, name: string, columns: readonly (readonly [string, string])[]): Table {
  return {
    objectId: 0,
    schema,
    name,
    place: quote(`${schema}.${name}`),
    columns: columns.map(([column, declared], i) => {
      const type = typeOf(declared);
      const collation = collationOf(type, null);
      return { id: i + 1, name: column, type, isNullable: true, collation, identity: null, standard: null };
    }),
    key: [],
    kind: 'system',
  };
}

export class Catalog {
  readonly #db: DatabaseSync;
  readonly #temporary = new Map<string, Table>();
  readonly #statements = new Map<string, StatementSync>();
  #tables = new Map<string, Table | null>();
  #generation = -1n;
  #own = 0;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Another value: texts mean something else than before. */
  get generation(): string {
    const row = this.#get('SELECT generation FROM "km.state"') as { generation: bigint };
    if (row.generation !== this.#generation) {
      this.#generation = row.generation;
      this.#tables = new Map();
    }
    return `${row.generation} ${this.#own}`;
  }

  /** Throws 208. */
  table(name: Name): Table {
    const found = this.find(name);
    if (!found) throw new SqlError(208, `Invalid object name '${name.join('.')}'.`);
    return found;
  }

  find(name: Name): Table | null {
    const last = name.at(-1)!;
    if (/^[#@]/.test(last)) return this.#temporary.get(last.toLowerCase()) ?? null;
    const schema = name.length > 1 ? name.at(-2)! || DEFAULT_SCHEMA : DEFAULT_SCHEMA;
    const full = `${schema}.${last}`.toLowerCase();
    const own = system.get(full);
    if (own) return this.#isThere(full) ? own : null;
    void this.generation;
    let known = this.#tables.get(full);
    if (known === undefined) {
      known = this.#read(schema, last);
      this.#tables.set(full, known);
    }
    return known;
  }

  byId(objectId: number): Table | null {
    const row = this.#get(
      'SELECT o.name, s.name AS "schema" FROM "sys.objects" o JOIN "sys.schemas" s USING (schema_id) WHERE o.object_id = ?',
      objectId,
    ) as { name: string; schema: string } | undefined;
    return row ? this.find([row.schema, row.name]) : null;
  }

  get tables(): Table[] {
    return this.#all('SELECT object_id FROM "sys.objects" ORDER BY object_id').map(
      ({ object_id: id }) => this.byId(Number(id))!,
    );
  }

  addTemporary(table: Table): void {
    this.#temporary.set(table.name.toLowerCase(), table);
    this.#own++;
  }

  dropTemporary(name: string): Table | null {
    const table = this.#temporary.get(name.toLowerCase()) ?? null;
    this.#temporary.delete(name.toLowerCase());
    this.#own++;
    return table;
  }

  get temporary(): readonly Table[] {
    return [...this.#temporary.values()];
  }

  /** Objects of CDC and the history of clean-ups come with their first use. */
  #isThere(full: string): boolean {
    if (full.startsWith('cdc.'))
      return Number(this.#get('SELECT is_cdc_enabled AS c FROM "sys.databases"')?.['c']) === 1;
    if (full === 'dbo.mschange_tracking_history')
      return this.#get('SELECT 1 FROM "dbo.MSchange_tracking_history"') !== undefined;
    return true;
  }

  #read(schema: string, name: string): Table | null {
    const object = this.#get(
      `SELECT o.object_id, o.name, s.name AS "schema" FROM "sys.objects" o JOIN "sys.schemas" s USING (schema_id)
       WHERE o.name = ? AND s.name = ?`,
      name,
      schema,
    );
    if (!object) return null;
    const objectId = Number(object['object_id']);
    const types = new Map(
      this.#all('SELECT system_type_id AS id, name FROM "sys.types"').map(one => [one['id'], one['name']]),
    );
    const columns = this.#all(
      `SELECT c.*, k.standard, k.seed, k.step FROM "sys.columns" c
       LEFT JOIN "km.columns" k USING (object_id, column_id) WHERE object_id = ? ORDER BY column_id`,
      objectId,
    ).map((row): Column => {
      const type = typeOf(declared(String(types.get(row['system_type_id'])), row));
      return {
        id: Number(row['column_id']),
        name: String(row['name']),
        type,
        isNullable: Number(row['is_nullable']) === 1,
        collation: collationOf(type, row['collation_name'] as string | null),
        identity: row['seed'] === null ? null : { seed: Number(row['seed']), step: Number(row['step']) },
        standard: row['standard'] as string | null,
      };
    });
    const key = this.#all(
      `SELECT column_id AS id FROM "sys.index_columns" JOIN "sys.indexes" USING (object_id, index_id)
       WHERE object_id = ? AND is_primary_key = 1 ORDER BY key_ordinal`,
      objectId,
    ).map(({ id }) => columns.find(column => column.id === Number(id))!);
    const [spelt, of] = [String(object['name']), String(object['schema'])];
    return { objectId, schema: of, name: spelt, place: quote(`${of}.${spelt}`), columns, key, kind: 'user' };
  }

  #get(sql: string, ...values: (string | number)[]): Record<string, unknown> | undefined {
    return this.#statement(sql).get(...values) as Record<string, unknown> | undefined;
  }

  #all(sql: string, ...values: (string | number)[]): Record<string, unknown>[] {
    return this.#statement(sql).all(...values) as Record<string, unknown>[];
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#db.prepare(sql);
      statement.setReadBigInts(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** Lengths are in bytes there. */
function declared(base: string, row: Record<string, unknown>): string {
  const length = Number(row['max_length']);
  switch (base) {
    case 'nvarchar':
    case 'nchar':
      return `${base}(${length < 0 ? 'max' : length / 2})`;
    case 'varchar':
    case 'char':
    case 'varbinary':
    case 'binary':
      return `${base}(${length < 0 ? 'max' : length})`;
    case 'decimal':
    case 'numeric':
      return `${base}(${row['precision']},${row['scale']})`;
    case 'datetime2':
    case 'datetimeoffset':
    case 'time':
      return `${base}(${row['scale']})`;
    default:
      return base;
  }
}

/** As `sys.columns` has it. */
export function storedForm(type: SqlType): {
  readonly length: number;
  readonly precision: number;
  readonly scale: number;
} {
  const { name, length, precision, scale } = type;
  if (length > 0) {
    const width = name.startsWith('n') ? 2 : 1;
    return { length: length === MAX ? -1 : length * width, precision: 0, scale: 0 };
  }
  const [bytes, digits, behind] = {
    bigint: [8, 19, 0],
    int: [4, 10, 0],
    smallint: [2, 5, 0],
    tinyint: [1, 3, 0],
    bit: [1, 1, 0],
    float: [8, 53, 0],
    real: [4, 24, 0],
    money: [8, 19, 4],
    smallmoney: [4, 10, 4],
    date: [3, 10, 0],
    datetime: [8, 23, 3],
    smalldatetime: [4, 16, 0],
    uniqueidentifier: [16, 0, 0],
    xml: [-1, 0, 0],
    datetime2: [8, 20 + scale, scale],
    datetimeoffset: [10, 27 + scale, scale],
    time: [5, 9 + scale, scale],
    decimal: [9, precision, scale],
    numeric: [9, precision, scale],
  }[name as 'int']!;
  return { length: bytes!, precision: digits!, scale: behind! };
}
