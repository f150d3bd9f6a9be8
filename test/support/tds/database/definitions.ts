/** CREATE, ALTER, DROP and TRUNCATE: the table of SQLite, and what the catalog says of it. */
import type { DatabaseSync } from 'node:sqlite';
import { SqlError } from '../errors.ts';
import { type Catalog, type Column, collationOf, DEFAULT_SCHEMA, quote, storedForm, type Table } from './catalog.ts';
import type { ColumnDefinition, Name, TableDefinition } from './syntax.ts';
import { COLLATION, TYPE_IDS } from './system-tables.ts';
import { isTracked, untrack } from './tracking.ts';
import { affinityOf, familyOf, typeOf } from './values.ts';

export class Definitions {
  readonly #db: DatabaseSync;
  readonly #catalog: Catalog;
  readonly #now: () => string;

  /** `now`: as a datetime of three digits. */
  constructor(db: DatabaseSync, catalog: Catalog, now: () => string) {
    this.#db = db;
    this.#catalog = catalog;
    this.#now = now;
  }

  /** Throws 2714, 2760. Gives its number. */
  create(name: Name, definition: TableDefinition): Table {
    const last = name.at(-1)!;
    if (/^[#@]/.test(last)) return this.#createTemporary(last, definition);
    if (this.#catalog.find(name))
      throw new SqlError(2714, `There is already an object named '${last}' in the database.`);
    const wanted = name.length > 1 ? name.at(-2)! : DEFAULT_SCHEMA;
    const schema = this.#db.prepare('SELECT name, schema_id AS id FROM "sys.schemas" WHERE name = ?').get(wanted);
    if (!schema)
      throw new SqlError(
        2760,
        `The specified schema name "${wanted}" either does not exist or you do not have permission to use it.`,
      );
    const { object } = this.#db.prepare('UPDATE "km.state" SET object = object + 16 RETURNING object').get() as {
      object: number;
    };
    const now = this.#now();
    this.#db
      .prepare(`INSERT INTO "sys.objects" VALUES (?, ${object}, ${Number(schema['id'])}, 'U ', ?, ?)`)
      .run(last, now, now);
    definition.columns.forEach((column, i) => this.#addColumn(object, i + 1, column, definition.key));
    this.#db.exec(`CREATE TABLE ${quote(`${String(schema['name'])}.${last}`)} (${columnsOf(definition)})`);
    if (definition.key.length > 0) {
      this.#db.prepare(`INSERT INTO "sys.indexes" VALUES (${object}, ?, 1, 1)`).run(`PK_${last}`);
      definition.key.forEach((column, i) => {
        const at = indexOf(definition, column);
        this.#db.exec(`INSERT INTO "sys.index_columns" VALUES (${object}, 1, ${at + 1}, ${i + 1})`);
      });
    }
    this.#changed();
    return this.#catalog.table(name);
  }

  #createTemporary(name: string, definition: TableDefinition): Table {
    if (this.#catalog.find([name]))
      throw new SqlError(2714, `There is already an object named '${name}' in the database.`);
    const columns = definition.columns.map((column, i) => columnFrom(column, i + 1, definition.key));
    this.#db.exec(`CREATE TEMP TABLE ${quote(name)} (${columnsOf(definition)})`);
    const key = definition.key.map(one => columns[indexOf(definition, one)]!);
    const table: Table = {
      objectId: -1,
      schema: 'tempdb',
      name,
      place: `temp.${quote(name)}`,
      columns,
      key,
      kind: 'temporary',
    };
    this.#catalog.addTemporary(table);
    return table;
  }

  createSchema(name: string): void {
    if (this.#db.prepare('SELECT 1 FROM "sys.schemas" WHERE name = ?').get(name))
      throw new SqlError(2714, `There is already an object named '${name}' in the database.`);
    this.#db.prepare('INSERT INTO "sys.schemas" SELECT ?, max(schema_id) + 1 FROM "sys.schemas"').run(name);
    this.#changed();
  }

  drop(table: Table): void {
    if (table.kind === 'temporary') {
      // It may have gone with the transaction that made it.
      this.#db.exec(`DROP TABLE IF EXISTS ${table.place}`);
      this.#catalog.dropTemporary(table.name);
      return;
    }
    if (isTracked(this.#db, table)) untrack(this.#db, table);
    this.#db.exec(`DROP TABLE ${table.place}`);
    for (const place of ['sys.objects', 'sys.columns', 'sys.indexes', 'sys.index_columns', 'km.columns'])
      this.#db.exec(`DELETE FROM ${quote(place)} WHERE object_id = ${table.objectId}`);
    this.#changed();
  }

  addColumns(table: Table, columns: readonly ColumnDefinition[]): void {
    for (const column of columns) {
      const id = Math.max(0, ...this.#catalog.table([table.schema, table.name]).columns.map(one => one.id)) + 1;
      if (column.isNullable === false && column.standard === null)
        throw new SqlError(
          4901,
          `ALTER TABLE only allows columns to be added that can contain nulls, or have a DEFAULT definition.`,
        );
      this.#addColumn(table.objectId, id, column, []);
      this.#db.exec(`ALTER TABLE ${table.place} ADD COLUMN ${columnSql(column, [])}`);
      this.#changed(table);
    }
  }

  /** Throws 4924, 5074. */
  dropColumn(table: Table, name: string): void {
    const column = this.#mustColumn(table, name);
    if (table.key.includes(column))
      throw new SqlError(5074, `The object 'PK_${table.name}' is dependent on column '${name}'.`);
    this.#withoutTriggers(table, () => this.#db.exec(`ALTER TABLE ${table.place} DROP COLUMN ${quote(column.name)}`));
    this.#db.exec(`DELETE FROM "sys.columns" WHERE object_id = ${table.objectId} AND column_id = ${column.id}`);
    this.#changed(table);
  }

  /** sp_rename of a column. */
  renameColumn(table: Table, from: string, to: string): void {
    const column = this.#mustColumn(table, from);
    this.#db.exec(`ALTER TABLE ${table.place} RENAME COLUMN ${quote(column.name)} TO ${quote(to)}`);
    this.#db
      .prepare(`UPDATE "sys.columns" SET name = ? WHERE object_id = ${table.objectId} AND column_id = ${column.id}`)
      .run(to);
    this.#changed(table);
  }

  /** To a type that is kept in the same way. */
  alterColumn(table: Table, definition: ColumnDefinition): void {
    const column = this.#mustColumn(table, definition.name);
    const type = typeOf(definition.type);
    const isRescaled = familyOf(type) === 'decimal' || familyOf(type) === 'time';
    if (affinityOf(type) !== affinityOf(column.type) || isRescaled)
      throw new SqlError(50_000, `the test server: ${column.type.text} altered to ${type.text}`, { class: 18 });
    this.#db.exec(`DELETE FROM "sys.columns" WHERE object_id = ${table.objectId} AND column_id = ${column.id}`);
    this.#addColumn(table.objectId, column.id, { ...definition, name: column.name }, []);
    this.#changed(table);
  }

  truncate(table: Table): void {
    this.#withoutTriggers(table, () => this.#db.exec(`DELETE FROM ${table.place} WHERE true`));
  }

  /** Something of the table, or which tables there are, is another than before. */
  #changed(table?: Table): void {
    if (table)
      this.#db.prepare(`UPDATE "sys.objects" SET modify_date = ? WHERE object_id = ${table.objectId}`).run(this.#now());
    this.#db.exec('UPDATE "km.state" SET generation = generation + 1');
  }

  #withoutTriggers(table: Table, act: () => void): void {
    const triggers = this.#db
      .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?")
      .all(`${table.schema}.${table.name}`) as { name: string; sql: string }[];
    for (const { name } of triggers) this.#db.exec(`DROP TRIGGER ${quote(name)}`);
    act();
    for (const { sql } of triggers) this.#db.exec(sql);
  }

  #mustColumn(table: Table, name: string): Column {
    const column = table.columns.find(one => one.name.toLowerCase() === name.toLowerCase());
    if (!column)
      throw new SqlError(4924, `ALTER TABLE failed because column '${name}' does not exist in table '${table.name}'.`);
    return column;
  }

  #addColumn(object: number, id: number, definition: ColumnDefinition, key: readonly string[]): void {
    const column = columnFrom(definition, id, key);
    const { length, precision, scale } = storedForm(column.type);
    const type = TYPE_IDS[column.type.name];
    if (type === undefined) throw new SqlError(2715, `Cannot find data type ${definition.type}.`);
    const collation = familyOf(column.type) === 'text' ? (definition.collation ?? COLLATION) : null;
    this.#db
      .prepare(
        `INSERT INTO "sys.columns" VALUES (${object}, ?, ${id}, ${type}, ${type}, ${length}, ${precision}, ${scale}, ?,
         ${column.isNullable ? 1 : 0}, ${definition.identity ? 1 : 0}, 0, 0)`,
      )
      .run(definition.name, collation?.toLowerCase() === 'database_default' ? COLLATION : collation);
    const { identity } = definition;
    const standard = definition.standard === null ? null : expressionSql(definition);
    if (identity || standard !== null)
      this.#db
        .prepare(
          `INSERT INTO "km.columns" VALUES (${object}, ${id}, ?, ${identity?.seed ?? 'NULL'}, ${identity?.step ?? 'NULL'}, ${identity ? identity.seed - identity.step : 'NULL'})`,
        )
        .run(standard);
  }
}

function indexOf({ columns }: TableDefinition, name: string): number {
  const at = columns.findIndex(column => column.name.toLowerCase() === name.toLowerCase());
  if (at < 0) throw new SqlError(1911, `Column name '${name}' does not exist in the target table or view.`);
  return at;
}

function columnFrom(definition: ColumnDefinition, id: number, key: readonly string[]): Column {
  const type = typeOf(definition.type);
  const isKey = key.some(name => name.toLowerCase() === definition.name.toLowerCase());
  return {
    id,
    name: definition.name,
    type,
    isNullable: !isKey && definition.isNullable !== false && !definition.identity,
    collation: collationOf(type, definition.collation),
    identity: definition.identity,
    standard: definition.standard === null ? null : expressionSql(definition),
  };
}

function columnsOf(definition: TableDefinition): string {
  const list = definition.columns.map(column => columnSql(column, definition.key));
  if (definition.key.length > 0) list.push(`PRIMARY KEY (${definition.key.map(quote).join(', ')})`);
  for (const unique of definition.uniques) list.push(`UNIQUE (${unique.map(quote).join(', ')})`);
  return list.join(', ');
}

function columnSql(definition: ColumnDefinition, key: readonly string[]): string {
  const { name, type, collation, isNullable } = columnFrom(definition, 0, key);
  const how = collation === 'ci' ? ' COLLATE NOCASE' : '';
  return `${quote(name)} ${affinityOf(type)}${how}${isNullable ? '' : ' NOT NULL DEFAULT NULL'}`;
}

/** Constants only: whatever else a default may be, keymill's tables have none. */
function expressionSql({ standard, name }: ColumnDefinition): string {
  let one = standard!;
  let sign = '';
  if (one.kind === 'negative') {
    sign = '-';
    one = one.value;
  }
  if (one.kind === 'number') return sign + one.value;
  if (one.kind === 'text') return `N'${one.value.replaceAll("'", "''")}'`;
  if (one.kind === 'call' && one.args.length === 0) return `${one.name}()`;
  throw new SqlError(50_000, `the test server: the default of ${name}`, { class: 18 });
}
