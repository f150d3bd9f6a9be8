/** Values as tedious gives and takes them (reference sql-server-and-tds 3.8, 3.9). */
import { TYPES } from 'tedious';
import { KeymillError } from '../../../runtime/index.ts';
import type { SqlValue } from '../contract.ts';
import type { Parameter, ParameterKind } from './command.ts';

/** What a row's metadata says of one column. */
export interface ColumnMetadata {
  readonly colName: string;
  readonly type: { readonly name: string };
  readonly dataLength?: number | undefined;
  readonly precision?: number | undefined;
  readonly scale?: number | undefined;
}

export type Reader = (value: unknown) => SqlValue;

const MONEY_SCALE = 4;
/** Digits that a double keeps in any case. */
const DIGITS = 1e15;

const asIs: Reader = value => (value ?? null) as SqlValue;

/** How values of a column are read: chosen once, not with each row. */
export function readerOf({ colName, type, dataLength, scale }: ColumnMetadata): Reader {
  switch (type.name) {
    case 'BigInt':
      return big;
    case 'IntN':
      return dataLength === 8 ? big : asIs;
    case 'Decimal':
    case 'DecimalN':
    case 'Numeric':
    case 'NumericN':
      return decimal(colName, scale ?? 0);
    case 'Money':
    case 'MoneyN':
    case 'SmallMoney':
      return decimal(colName, MONEY_SCALE);
    case 'DateTimeOffset':
    case 'DateTime2':
    case 'DateTime':
    case 'DateTimeN':
    case 'SmallDateTime':
    case 'Date':
      return value => (value === null || value === undefined ? null : new Date((value as Date).getTime()));
    case 'Time':
      return value => (value === null || value === undefined ? null : (value as Date).toISOString().slice(11, -1));
    case 'Variant':
    case 'VarBinary':
    case 'Binary':
    case 'Image':
    case 'UDT':
      return value => (value instanceof Uint8Array ? new Uint8Array(value) : asIs(value));
    default:
      return asIs;
  }
}

/** A whole number that fits becomes a number. */
function big(value: unknown): SqlValue {
  if (value === null || value === undefined) return null;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : BigInt(value as string);
}

/** Text with all its digits. tedious reads it as a number; where that may have lost some, it says so. */
function decimal(name: string, scale: number): Reader {
  const most = DIGITS / 10 ** scale;
  return value => {
    if (value === null || value === undefined) return null;
    const number = value as number;
    if (Math.abs(number) >= most)
      throw new KeymillError('SQL_FAILED', `column ${name} has more digits than a number holds: select it as varchar`, {
        class: 'fatal',
        place: { at: name },
      });
    return number.toFixed(scale);
  };
}

type TypeOf = {
  readonly type: (typeof TYPES)[keyof typeof TYPES];
  readonly options?: { length?: number; scale?: number };
};

const KINDS: Readonly<Record<ParameterKind, TypeOf>> = {
  bigint: { type: TYPES.BigInt },
  bit: { type: TYPES.Bit },
  float: { type: TYPES.Float },
  text: { type: TYPES.NVarChar, options: { length: 4000 } },
  longText: { type: TYPES.NVarChar, options: { length: Number.POSITIVE_INFINITY } },
  bytes: { type: TYPES.VarBinary, options: { length: 8000 } },
  longBytes: { type: TYPES.VarBinary, options: { length: Number.POSITIVE_INFINITY } },
  context: { type: TYPES.VarBinary, options: { length: 128 } },
  time: { type: TYPES.DateTime2, options: { scale: 7 } },
};

export function tediousParameter({ kind, value }: Parameter): TypeOf & { readonly value: unknown } {
  const bytes = value instanceof Uint8Array;
  return {
    ...KINDS[kind],
    value: bytes ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value,
  };
}
