/**
 * CHANGETABLE(CHANGES …) over the history of a table's changes (reference 1.3): the last change of each key above a version,
 * told relative to that version. The history has one row for each change of each key, in order.
 *
 *     seq | version | prior: of the key's change before, or NULL | op I, U, D | mask: the columns of an UPDATE, NULL for all |
 *     context | k0, k1, …: the key
 *
 * Most rows are the only change of their key above the version, as `prior` tells: they are told by themselves, without a look
 * at what else was done to the key.
 */
import { SqlError } from '../errors.ts';
import { quote, type Table } from './catalog.ts';
import { BIGINT, type NamedPiece, piece } from './scope.ts';
import { typeOf } from './values.ts';

const OPERATION = typeOf('nchar(1)');
const MASK = typeOf('varbinary(4100)');
const CONTEXT = typeOf('varbinary(128)');

export function historyOf({ objectId }: Pick<Table, 'objectId'>): string {
  return quote(`ct.${objectId}`);
}

/** `since`: in SQLite; NULL for all that is tracked. Columns stand under the alias. Throws 22105 when it runs. */
export function changesOf(table: Table, since: string, alias: string): { sql: string; columns: NamedPiece[] } {
  if (table.kind !== 'user')
    throw new SqlError(22_107, `Object '${table.name}' is of a data type that is not supported by CHANGETABLE.`);
  const history = historyOf(table);
  const keys = table.key.map((_, i) => `k${i}`);
  const same = (one: string): string => keys.map(key => `${one}.${key} = l.${key}`).join(' AND ');
  const above = (one: string): string => `${one}.version > ifnull(${since}, -1)`;
  const isSeveral = `l.prior > ifnull(${since}, -1)`;
  const first = `(SELECT f.op FROM ${history} AS f WHERE ${same('f')} AND ${above('f')} ORDER BY f.seq LIMIT 1)`;
  const operation = `CASE WHEN NOT ifnull(${isSeveral}, 0) OR l.op = 'D' THEN l.op WHEN ${first} = 'I' THEN 'I' ELSE 'U' END`;
  const masks = `(SELECT km_ct_masks(m.mask) FROM ${history} AS m WHERE ${same('m')} AND ${above('m')})`;
  const columns: [name: string, sql: string, piece: ReturnType<typeof piece>][] = [
    ['SYS_CHANGE_VERSION', 'l.version', piece('', BIGINT)],
    [
      'SYS_CHANGE_CREATION_VERSION',
      `(SELECT max(c.version) FROM ${history} AS c WHERE ${same('c')} AND c.op = 'I')`,
      piece('', BIGINT),
    ],
    ['SYS_CHANGE_OPERATION', operation, piece('', OPERATION)],
    [
      'SYS_CHANGE_COLUMNS',
      `CASE WHEN l.op <> 'U' THEN NULL WHEN ${isSeveral} THEN ${masks} ELSE l.mask END`,
      piece('', MASK),
    ],
    ['SYS_CHANGE_CONTEXT', 'l.context', piece('', CONTEXT)],
    ...table.key.map((column, i): [string, string, ReturnType<typeof piece>] => [
      column.name,
      `l.k${i}`,
      { ...piece('', column.type), collation: column.collation },
    ]),
  ];
  // Likely: a page that begins behind a key is to be sought by version and key, and not by this.
  const sql = `SELECT ${columns.map(([name, of]) => `${of} AS ${quote(name)}`).join(', ')} FROM ${history} AS l
    WHERE likely(${above('l')}) AND NOT EXISTS (SELECT 1 FROM ${history} AS n WHERE ${same('n')} AND n.seq > l.seq)`;
  return {
    sql,
    columns: columns.map(([name, , of]) => ({ ...of, name, sql: `${quote(alias)}.${quote(name)}` })),
  };
}
