/** What the database says of its tables, looked up anew when its schema has changed. */
import { KeymillError } from '../../../runtime/index.ts';
import type { ColumnInfo, TableInfo } from '../contract.ts';
import type { Database } from './database.ts';

/** `hidden` of table_xinfo: 2 and 3 are generated columns. */
const GENERATED = 2;
/** Four triggers watch a tracked table. */
const TRIGGERS = 4;

export class Schema {
  readonly #db: Database;
  readonly #tables = new Map<string, TableInfo>();
  #version: unknown = -1;
  #hasState = false;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Change tracking was turned on for the database. */
  get hasTracking(): boolean {
    this.#refresh();
    return this.#hasState;
  }

  /** Throws TABLE_UNKNOWN. */
  table(name: string): TableInfo {
    this.#refresh();
    const known = this.#tables.get(name.toLowerCase());
    if (known) return known;
    const found = this.#db.first("SELECT name FROM sqlite_schema WHERE type = 'table' AND lower(name) = lower(@name)", {
      name,
    });
    if (!found)
      throw new KeymillError('TABLE_UNKNOWN', `${this.#db.path} has no table ${JSON.stringify(name)}`, {
        place: { at: name },
      });
    const table = String(found['name']);
    const rows = this.#db.all('SELECT name, type, pk, hidden FROM pragma_table_xinfo(@table)', { table });
    const columns = rows.map(
      (row): ColumnInfo => ({
        name: String(row['name']),
        type: String(row['type']),
        isKey: Number(row['pk']) > 0,
        isComputed: Number(row['hidden']) >= GENERATED,
      }),
    );
    const key = rows
      .filter(row => Number(row['pk']) > 0)
      .sort((a, b) => Number(a['pk']) - Number(b['pk']))
      .map(row => String(row['name']));
    const triggers = this.#db.first(
      "SELECT count(*) AS n FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = @table AND name LIKE 'keymill\\_ct\\_%' ESCAPE '\\'",
      { table },
    );
    const info: TableInfo = { table, columns, key, isTracked: this.#hasState && Number(triggers!['n']) === TRIGGERS };
    this.#tables.set(name.toLowerCase(), info);
    return info;
  }

  #refresh(): void {
    const version = this.#db.first('PRAGMA schema_version')!['schema_version'];
    if (version === this.#version) return;
    this.#version = version;
    this.#tables.clear();
    this.#hasState =
      this.#db.first("SELECT 1 AS one FROM sqlite_schema WHERE type = 'table' AND name = 'keymill_ct_state'") !==
      undefined;
  }
}
