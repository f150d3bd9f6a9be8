/** Tables as the catalog describes them, kept until something says that they have changed. */
import { KeymillError } from '../../../runtime/index.ts';
import type { SqlValue } from '../contract.ts';
import type { Command } from './command.ts';
import type { Answer } from './connection.ts';
import { quote, type Table } from './names.ts';
import { tableCommand } from './statements/catalog.ts';
import { type Column, declared } from './types.ts';

export type Ask = (command: Command) => Promise<Answer>;

export class Schema {
  readonly #ask: Ask;
  readonly #tables = new Map<string, Promise<Table>>();

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** Throws TABLE_UNKNOWN. */
  table(name: string): Promise<Table> {
    let known = this.#tables.get(name);
    if (!known) {
      known = this.#look(name);
      this.#tables.set(name, known);
      known.catch(() => this.#tables.delete(name));
    }
    return known;
  }

  /** It is looked up anew when it is next needed. */
  forget(name: string): void {
    this.#tables.delete(name);
  }

  async #look(name: string): Promise<Table> {
    const { sets } = await this.#ask(tableCommand(name));
    const [found] = sets[0]?.rows ?? [];
    if (!found)
      throw new KeymillError('TABLE_UNKNOWN', `there is no table ${JSON.stringify(name)} that this user may see`, {
        place: { at: name },
      });
    return tableOf(found, sets[1]?.rows ?? []);
  }
}

export function tableOf(found: readonly SqlValue[], rows: readonly (readonly SqlValue[])[]): Table {
  const [objectId, schema, name, isOwn, isTracked, tracksColumns, stamp] = found as [
    number,
    string,
    string,
    number,
    number,
    boolean | null,
    string,
  ];
  const columns = rows.map(columnFrom);
  const places = new Map(rows.map(row => [String(row[1]), row[10]]));
  const key = columns
    .filter(column => column.isKey)
    .map(column => column.name)
    .sort((a, b) => Number(places.get(a)) - Number(places.get(b)));
  return {
    table: Number(isOwn) === 1 ? name : `${schema}.${name}`,
    schema,
    name,
    objectId: Number(objectId),
    columns,
    key,
    isTracked: Number(isTracked) === 1,
    tracksColumns: Boolean(tracksColumns),
    stamp: String(stamp),
    quoted: `${quote(schema)}.${quote(name)}`,
  };
}

function columnFrom(row: readonly SqlValue[]): Column {
  const [id, name, type, maxLength, precision, scale, collation, isNullable, isComputed, isIdentity, place] = row;
  const base = type === null || type === undefined ? 'udt' : String(type).toLowerCase();
  const column: Column = {
    id: Number(id),
    name: String(name),
    type: '',
    base,
    maxLength: Number(maxLength),
    precision: Number(precision),
    scale: Number(scale),
    collation: (collation ?? null) as string | null,
    isKey: place !== null && place !== undefined,
    isNullable: Boolean(isNullable),
    isComputed: Boolean(isComputed),
    isIdentity: Boolean(isIdentity),
  };
  return { ...column, type: base === 'timestamp' ? 'rowversion' : declared(column) };
}
