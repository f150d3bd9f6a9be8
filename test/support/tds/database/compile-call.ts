/** Calls of functions: those that keymill's statements have, and the most common ones beside them. Others are refused (195). */
import { SqlError } from '../errors.ts';
import { collated, compile, converted, joint } from './compile-expression.ts';
import { BIGINT, BIT, FLOAT, INT, type Piece, piece, type Scope } from './scope.ts';
import type { Expression, Order } from './syntax.ts';
import { familyOf, typeOf } from './values.ts';

type Call = Extract<Expression, { kind: 'call' }>;
type Make = (args: readonly Piece[], call: Call, scope: Scope) => Piece;

const NAME = typeOf('nvarchar(128)');
const LONG = typeOf('nvarchar(max)');
const LSN = typeOf('binary(10)');
const DATETIME = typeOf('datetime');
const DATETIME2 = typeOf('datetime2(7)');
const IN_MASK = 'change_tracking_is_column_in_mask';

/** What a session, the clock or the catalog says: `km_…`, made in functions.ts. */
const said = (name: string, type: Piece['type'], ...counts: readonly number[]): Make => {
  return (args, { name: called }) => {
    if (!counts.includes(args.length)) throw wrongCount(called, counts[0] ?? 0);
    return piece(`${name}(${args.map(arg => arg.sql).join(', ')})`, type);
  };
};
const text = (arg: Piece): Piece => (familyOf(arg.type) === 'text' ? arg : converted(arg, LONG));
const ofText =
  (name: string): Make =>
  ([arg]) => ({ ...text(arg!), sql: `${name}(${text(arg!).sql})` });

const FUNCTIONS: Readonly<Record<string, Make>> = {
  count: (args, call) => ({ ...counted(args, call), type: INT }),
  count_big: (args, call) => ({ ...counted(args, call), type: BIGINT }),
  min: ([arg]) => ({ ...arg!, sql: `min(${arg!.sql}${collated(arg!.collation)})` }),
  max: ([arg]) => ({ ...arg!, sql: `max(${arg!.sql}${collated(arg!.collation)})` }),
  sum: ([arg]) => ({ ...arg!, sql: `sum(${arg!.sql})`, type: arg!.type.name === 'bit' ? INT : arg!.type }),
  avg: ([arg]) => {
    if (familyOf(arg!.type) === 'float') return piece(`avg(${arg!.sql})`, FLOAT);
    return piece(`(sum(${arg!.sql}) / count(${arg!.sql}))`, arg!.type);
  },
  checksum_agg: said('km_checksum_agg', INT, 1),
  binary_checksum: args => piece(`km_checksum(${args.map(arg => arg.sql).join(', ')})`, INT),
  row_number: (_args, { over }, scope) => {
    if (!over || over.order.length === 0)
      throw new SqlError(10_753, "The function 'row_number' must have an OVER clause with ORDER BY.");
    const by = over.partition.map(one => sorted(compile(scope, one)));
    const partition = by.length === 0 ? '' : `PARTITION BY ${by.join(', ')} `;
    return piece(`row_number() OVER (${partition}ORDER BY ${ordered(scope, over.order)})`, BIGINT);
  },
  concat: (args, call) => {
    const parts =
      bitsOf(args, call) ??
      args.map(arg => (['text', 'whole', 'guid'].includes(familyOf(arg.type)) ? arg : text(arg)).sql);
    return piece(`concat(${parts.join(', ')})`, typeOf('nvarchar(4000)'));
  },
  coalesce: args => {
    const { type, collation } = joint(args);
    return { sql: `coalesce(${args.map(arg => converted(arg, type).sql).join(', ')})`, type, collation };
  },
  isnull: ([one, other]) => ({ ...one!, sql: `ifnull(${one!.sql}, ${converted(other!, one!.type).sql})` }),
  nullif: ([one, other]) => ({ ...one!, sql: `nullif(${one!.sql}, ${converted(other!, one!.type).sql})` }),
  left: ([arg, count]) => ({ ...text(arg!), sql: `substr(${text(arg!).sql}, 1, ${count!.sql})` }),
  right: ([arg, count]) => ({ ...text(arg!), sql: `km_right(${text(arg!).sql}, ${count!.sql})` }),
  substring: ([arg, from, count]) => ({ ...text(arg!), sql: `substr(${text(arg!).sql}, ${from!.sql}, ${count!.sql})` }),
  len: ([arg]) => piece(`length(rtrim(${text(arg!).sql}))`, INT),
  datalength: ([arg]) => piece(`(length(${arg!.sql}) * ${arg!.type.name.startsWith('n') ? 2 : 1})`, INT),
  upper: ofText('upper'),
  lower: ofText('lower'),
  ltrim: ofText('ltrim'),
  rtrim: ofText('rtrim'),
  replace: ([arg, from, to]) => ({ ...text(arg!), sql: `replace(${arg!.sql}, ${from!.sql}, ${to!.sql})` }),
  replicate: ([arg, count]) => ({ ...text(arg!), sql: `km_replicate(${text(arg!).sql}, ${count!.sql})`, type: LONG }),
  abs: ([arg]) => ({ ...arg!, sql: `abs(${arg!.sql})` }),
  quotename: said('km_quotename', typeOf('nvarchar(258)'), 1),
  newid: said('km_newid', typeOf('uniqueidentifier'), 0),
  getdate: said('km_now3', DATETIME, 0),
  getutcdate: said('km_now3', DATETIME, 0),
  sysdatetime: said('km_now7', DATETIME2, 0),
  sysutcdatetime: said('km_now7', DATETIME2, 0),
  db_id: said('km_database_id', INT, 0),
  db_name: said('km_database_name', NAME, 0),
  schema_name: said('km_schema_name', NAME, 0),
  suser_sname: said('km_user', NAME, 0),
  columnproperty: said('km_column_property', INT, 3),
  object_id: ([name]) => piece(`km_object_id(${text(name!).sql})`, INT),
  has_perms_by_name: said('km_may', INT, 3),
  serverproperty: said('km_server_property', NAME, 1),
  databasepropertyex: said('km_database_property', NAME, 2),
  connectionproperty: said('km_connection_property', NAME, 1),
  rowcount_big: said('km_rowcount', BIGINT, 0),
  change_tracking_current_version: said('km_ct_now', BIGINT, 0),
  change_tracking_min_valid_version: said('km_ct_min', BIGINT, 1),
  change_tracking_is_column_in_mask: said('km_ct_in_mask', BIT, 2),
  'sys.fn_cdc_get_max_lsn': said('km_lsn_max', LSN, 0),
  'sys.fn_cdc_get_min_lsn': said('km_lsn_min', LSN, 1),
  'sys.fn_cdc_increment_lsn': said('km_lsn_after', LSN, 1),
  'sys.fn_cdc_decrement_lsn': said('km_lsn_before', LSN, 1),
  'sys.fn_cdc_map_lsn_to_time': said('km_lsn_time', DATETIME, 1),
};

/** CONCAT(N'', CHANGE_TRACKING_IS_COLUMN_IN_MASK(2, m), …(3, m), …): one look at the mask instead of one for each column. */
function bitsOf([first, ...bits]: readonly Piece[], { args }: Call): readonly string[] | null {
  const asked = args.slice(1).map(arg => (arg.kind === 'call' && arg.name === IN_MASK ? arg.args : []));
  const ids = asked.map(([id]) => (id?.kind === 'number' ? id.value : ''));
  const masks = new Set(asked.map(([, mask]) => JSON.stringify(mask)));
  if (bits.length < 2 || masks.size !== 1 || !ids.every(id => /^\d{1,9}$/.test(id))) return null;
  const mask = bits[0]!.sql.slice(`km_ct_in_mask(${ids[0]}, `.length, -1);
  return [first!.sql, `km_ct_bits(${mask}, '${ids.join(',')}')`];
}

/** Functions whose first argument is a word. */
const DATE_PARTS = new Set(['datediff', 'datediff_big', 'dateadd']);

export function compileCall(scope: Scope, call: Call): Piece {
  if (DATE_PARTS.has(call.name)) return dated(scope, call);
  const make = FUNCTIONS[call.name];
  if (!make) throw new SqlError(195, `'${call.name}' is not a recognized built-in function name.`, { class: 15 });
  if (call.over && call.name !== 'row_number')
    throw new SqlError(50_000, `the test server: ${call.name} over a window`, { class: 18 });
  return make(
    call.args.map(arg => compile(scope, arg)),
    call,
    scope,
  );
}

export function ordered(scope: Scope, order: readonly Order[]): string {
  return order
    .map(({ value, isDescending }) => sorted(compile(scope, value)) + (isDescending ? ' DESC' : ''))
    .join(', ');
}

function sorted({ sql, collation }: Piece): string {
  return sql + collated(collation);
}

function counted(args: readonly Piece[], { isStar, isDistinct }: Call): Piece {
  const [arg] = args;
  return piece(isStar || !arg ? 'count(*)' : `count(${isDistinct ? 'DISTINCT ' : ''}${sorted(arg)})`, BIGINT);
}

function dated(scope: Scope, { name, args }: Call): Piece {
  const [word, a, b] = args;
  if (word?.kind !== 'column' || word.of !== null || !a || !b) throw wrongCount(name, 3);
  const part = word.name.toLowerCase();
  const [first, second] = [compile(scope, a), compile(scope, b)];
  if (name === 'dateadd') {
    const type = familyOf(second.type) === 'time' ? second.type : DATETIME;
    return piece(`km_dateadd('${part}', ${first.sql}, ${converted(second, type).sql}, '${type.text}')`, type);
  }
  const [from, to] = [first, second].map(one => (familyOf(one.type) === 'time' ? one : converted(one, DATETIME2))) as [
    Piece,
    Piece,
  ];
  const type = name === 'datediff' ? INT : BIGINT;
  if (part === 'millisecond' && hasThousandths(from) && hasThousandths(to))
    return piece(`(${msOf(to)} - ${msOf(from)})`, type);
  return piece(`km_datediff('${part}', ${from.sql}, ${to.sql})`, type);
}

/** 2001-02-03 04:05:06.789…, and no zone. */
function hasThousandths({ type: { name, scale } }: Piece): boolean {
  return name === 'datetime' || (name === 'datetime2' && scale >= 3);
}

/** Since 1970, without a call into JavaScript. */
function msOf({ sql }: Piece): string {
  return `(unixepoch(substr(${sql}, 1, 19)) * 1000 + substr(${sql}, 21, 3))`;
}

function wrongCount(name: string, count: number): SqlError {
  return new SqlError(174, `The ${name} function requires ${count} argument(s).`, { class: 15 });
}
