/** What the scripts of the tests answer to statements about CDC: LSNs, and the types of the columns. */
import type { SqlValue } from '../../support/tds/index.ts';

/** The n-th LSN. */
export function lsn(n: number): Buffer {
  const bytes = Buffer.alloc(10);
  bytes.writeUInt32BE(n, 0);
  return bytes;
}

/** 0 for what is no LSN. */
export function numberOf(value: SqlValue | undefined): number {
  return value instanceof Uint8Array ? Buffer.from(value).readUInt32BE(0) : 0;
}

/** Of what is known of a table before its changes. */
export const LOOK = [
  'binary(10)',
  'binary(10)',
  'nvarchar(100)',
  'int',
  'nvarchar(36)',
  'nvarchar(36)',
  'nvarchar(34)',
  'bigint',
];
/** Of a change of SMALL. */
export const ROW = [
  'binary(10)',
  'int',
  'binary(10)',
  'int',
  'varbinary(128)',
  'bigint',
  'bigint',
  'nvarchar(50)',
  'float',
];
