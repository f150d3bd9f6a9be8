/** The functions that compiled texts call: conversions, the clock, what a session and its database say of themselves. */
import { randomUUID } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { SqlError } from '../errors.ts';
import { added, type Converter, converterOf, difference } from './convert.ts';
import { DATABASE_ID } from './system-tables.ts';
import { idsOf, joinMasks } from './tracking.ts';
import { type Cell, typeOf } from './values.ts';

/** What functions ask of a session. */
export interface Asked {
  readonly spid: number;
  readonly user: string;
  readonly isEncrypted: boolean;
  readonly databaseName: string;
  readonly rowCount: number;
  readonly transactionCount: number;
  /** With seven digits behind the seconds. */
  now(): string;
  objectId(name: string): number | null;
  columnId(objectId: number, name: string): number | null;
  /** As the server numbers them: 2 is READ COMMITTED, 5 is SNAPSHOT. */
  readonly isolation: number;
  may(object: string, kind: string, permission: string): boolean | null;
  serverProperty(name: string): string | null;
  databaseProperty(name: string): string | null;
  /** Of the transaction: the version that it will have. */
  trackedVersion(): bigint;
  trackedContext(): Uint8Array | null;
  trackedMask(objectId: number): Uint8Array | null;
  currentVersion(): bigint | null;
  minValidVersion(objectId: number): bigint | null;
  nextIdentity(objectId: number): bigint;
  lsn(which: 'max'): Uint8Array | null;
  minLsn(instance: string): Uint8Array;
  lsnTime(lsn: Uint8Array): string | null;
  capturing(): CaptureStep;
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

/** Where a change stands in its transaction. */
export interface CaptureStep {
  readonly tran: bigint;
  readonly command: bigint;
}

const PURE = new Set([
  'km_convert',
  'km_like',
  'km_right',
  'km_replicate',
  'km_quotename',
  'km_checksum',
  'km_datediff',
  'km_dateadd',
]);
const converters = new Map<string, Converter>();

function converter(key: string): Converter {
  let found = converters.get(key);
  if (!found) {
    const [from, to, style, isAssigned] = key.split('|') as [string, string, string, string];
    found = converterOf(typeOf(from), typeOf(to), Number(style), isAssigned === '1');
    converters.set(key, found);
  }
  return found;
}

export function addFunctions(db: DatabaseSync, session: Asked): void {
  const add = (name: string, fn: (...args: never[]) => Cell): void => {
    // What depends on its arguments alone is worked out once where those are constants.
    const options = { useBigIntArguments: true, varargs: true, deterministic: PURE.has(name) };
    db.function(name, options, fn as (...args: unknown[]) => Cell);
  };
  add('km_convert', (cell: Cell, key: string) => (cell === null ? null : converter(key)(cell)));
  add('km_like', (cell: Cell, pattern: Cell) => {
    if (cell === null || pattern === null) return null;
    return likeOf(String(pattern)).test(String(cell)) ? 1n : 0n;
  });
  add('km_right', (cell: Cell, count: bigint) =>
    cell === null ? null : count <= 0n ? '' : String(cell).slice(-Number(count)),
  );
  add('km_replicate', (cell: Cell, count: bigint) => (cell === null ? null : String(cell).repeat(Number(count))));
  add('km_quotename', (cell: Cell) => (cell === null ? null : `[${String(cell).replaceAll(']', ']]')}]`));
  add('km_newid', () => randomUUID().toUpperCase());
  add('km_checksum', (...cells: Cell[]) => checksum(cells));
  add('km_now7', () => session.now());
  add('km_now3', () => session.now().slice(0, 23));
  add('km_datediff', (part: string, a: Cell, b: Cell) =>
    a === null || b === null ? null : BigInt(difference(part, String(a), String(b))),
  );
  add('km_dateadd', (part: string, count: Cell, to: Cell, type: string) =>
    count === null || to === null ? null : added(part, Number(count), String(to), typeOf(type)),
  );
  add('km_spid', () => BigInt(session.spid));
  add('km_encrypted', () => (session.isEncrypted ? 'TRUE' : 'FALSE'));
  add('km_user', () => session.user);
  add('km_database_id', () => BigInt(DATABASE_ID));
  add('km_database_name', () => session.databaseName);
  add('km_schema_name', () => 'dbo');
  add('km_rowcount', () => BigInt(session.rowCount));
  add('km_trancount', () => BigInt(session.transactionCount));
  add('km_object_id', (name: Cell) => big(name === null ? null : session.objectId(String(name))));
  add('km_column_property', (objectId: Cell, name: Cell, property: Cell) => {
    if (objectId === null || String(property).toLowerCase() !== 'columnid') return null;
    return big(session.columnId(Number(objectId), String(name)));
  });
  add('km_isolation', () => BigInt(session.isolation));
  add('km_may', (object: Cell, kind: Cell, permission: Cell) => {
    const may = session.may(String(object ?? ''), String(kind ?? ''), String(permission ?? ''));
    return may === null ? null : may ? 1n : 0n;
  });
  add('km_server_property', (name: Cell) => session.serverProperty(String(name)));
  add('km_database_property', (_database: Cell, name: Cell) => session.databaseProperty(String(name)));
  add('km_connection_property', (name: Cell) => (String(name).toLowerCase() === 'net_transport' ? 'TCP' : null));
  add('km_ct_version', () => session.trackedVersion());
  add('km_ct_context', () => session.trackedContext());
  add('km_ct_mask', (objectId: bigint) => session.trackedMask(Number(objectId)));
  add('km_ct_now', () => session.currentVersion());
  add('km_ct_min', (objectId: Cell) => (objectId === null ? null : session.minValidVersion(Number(objectId))));
  add('km_ct_in_mask', (id: Cell, mask: Cell) =>
    mask === null ? 1n : idsOf(mask as Uint8Array).includes(Number(id)) ? 1n : 0n,
  );
  // Rows of one UPDATE have the same mask.
  let last = { mask: null as Uint8Array | null, ids: '', bits: '' };
  add('km_ct_bits', (mask: Uint8Array | null, ids: string) => {
    if (last.ids === ids && last.mask !== null && mask !== null && areEqual(last.mask, mask)) return last.bits;
    const named = mask === null ? null : idsOf(mask);
    const bits = ids.split(',').map(id => (named === null || named.includes(Number(id)) ? '1' : '0'));
    last = { mask, ids, bits: bits.join('') };
    return last.bits;
  });
  add('km_identity', (objectId: bigint) => session.nextIdentity(Number(objectId)));
  add('km_lsn_max', () => session.lsn('max'));
  add('km_lsn_min', (instance: Cell) => session.minLsn(String(instance)));
  add('km_lsn_after', (lsn: Cell) => moved(lsn as Uint8Array | null, 1));
  add('km_lsn_before', (lsn: Cell) => moved(lsn as Uint8Array | null, -1));
  add('km_lsn_time', (lsn: Cell) => (lsn === null ? null : session.lsnTime(lsn as Uint8Array)));
  add('km_log_tran', () => session.capturing().tran);
  add('km_log_command', () => session.capturing().command);
  db.aggregate('km_checksum_agg', {
    start: 0n as bigint | null,
    step: (sum: bigint | null, cell: Cell) => (cell === null ? sum : (sum ?? 0n) ^ BigInt(cell as bigint)),
    useBigIntArguments: true,
  } as never);
  // A change without a mask is one of all columns.
  db.aggregate('km_ct_masks', {
    start: () => ({ mask: null as Uint8Array | null, isAll: false }),
    step: (all: { mask: Uint8Array | null; isAll: boolean }, cell: Cell) =>
      cell === null
        ? { mask: null, isAll: true }
        : {
            isAll: all.isAll,
            mask: all.mask === null ? (cell as Uint8Array) : joinMasks(all.mask, cell as Uint8Array),
          },
    result: (all: { mask: Uint8Array | null; isAll: boolean }) => (all.isAll ? null : all.mask),
  } as never);
}

function big(number: number | null): bigint | null {
  return number === null ? null : BigInt(number);
}

/** FNV-1a, as an int. */
function checksum(cells: readonly Cell[]): bigint {
  let sum = 0x811c9dc5;
  for (const char of cells
    .map(cell => (cell instanceof Uint8Array ? Buffer.from(cell).toString('hex') : String(cell)))
    .join('\u0001')) {
    sum = Math.imul(sum ^ char.codePointAt(0)!, 0x01000193);
  }
  return BigInt(sum | 0);
}

const patterns = new Map<string, RegExp>();

/** `%`, `_` and `[…]`. */
function likeOf(pattern: string): RegExp {
  let found = patterns.get(pattern);
  if (!found) {
    const source = pattern.replace(/\[(\^?)([^\]]*)\]|[%_]|[\\^$.*+?()|{}[\]]/g, (sign, not?: string, set?: string) => {
      if (set !== undefined) return `[${not}${set.replace(/[\\\]]/g, '\\$&')}]`;
      return sign === '%' ? '[\\s\\S]*' : sign === '_' ? '[\\s\\S]' : `\\${sign}`;
    });
    found = new RegExp(`^${source}$`, 'iu');
    patterns.set(pattern, found);
  }
  return found;
}

function moved(lsn: Uint8Array | null, by: 1 | -1): Uint8Array | null {
  if (lsn === null) return null;
  if (lsn.length !== 10) throw new SqlError(8115, 'the test server: an LSN of another length than 10');
  const found = new Uint8Array(lsn);
  for (let i = found.length - 1; i >= 0; i--) {
    found[i] = (found[i]! + by) & 0xff;
    if (found[i] !== (by === 1 ? 0 : 0xff)) break;
  }
  return found;
}
