/** Exact numbers: decimal and numeric of up to 38 digits, and money, which counts ten thousandths. All are texts here. */
import { type Reader, TdsFault, type Writer } from './bytes.ts';
import type { SqlType, SqlValue } from './types.ts';

const NUMBER = /^([+-]?)(\d*)(?:\.(\d*))?$/;
const MONEY_SCALE = 4;

/** The number of units of the last digit. Throws an Error for what is no number, or has more digits than there are. */
function unitsOf(value: SqlValue, scale: number): bigint {
  const [, sign, whole = '', fraction = ''] = NUMBER.exec(String(value)) ?? [];
  if (sign === undefined || whole + fraction === '') throw new Error(`no exact number: ${String(value)}`);
  const lost = fraction.slice(scale);
  if (/[1-9]/.test(lost)) throw new Error(`${String(value)} has more than ${scale} digits after the point`);
  const units = BigInt(whole + fraction.slice(0, scale).padEnd(scale, '0'));
  return sign === '-' ? -units : units;
}

function unitsText(units: bigint, scale: number): string {
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, '0');
  const point = digits.length - scale;
  const sign = units < 0n ? '-' : '';
  return scale === 0 ? sign + digits : `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** Of the value with its sign, in bytes. */
export const decimalBytes = (precision: number): number =>
  precision <= 9 ? 5 : precision <= 19 ? 9 : precision <= 28 ? 13 : 17;

export function readDecimal(reader: Reader, length: number, { scale }: SqlType): string {
  if (length < 2) throw new TdsFault(`a decimal of ${length} bytes`);
  const isPositive = reader.u8() !== 0;
  let units = 0n;
  for (const [index, byte] of reader.take(length - 1).entries()) units += BigInt(byte) << BigInt(8 * index);
  return unitsText(isPositive ? units : -units, scale);
}

export function writeDecimal(writer: Writer, value: SqlValue, { precision, scale, text }: SqlType): void {
  const units = unitsOf(value, scale);
  let rest = units < 0n ? -units : units;
  if (rest >= 10n ** BigInt(precision)) throw new Error(`${String(value)} does not fit ${text}`);
  const length = decimalBytes(precision);
  writer.u8(length);
  writer.u8(units < 0n ? 0 : 1);
  for (let at = 1; at < length; at++) {
    writer.u8(Number(rest & 0xffn));
    rest >>= 8n;
  }
}

/** The upper half stands first. */
export function readMoney(reader: Reader, length: number): string {
  if (length === 4) return unitsText(BigInt(reader.i32()), MONEY_SCALE);
  const high = BigInt(reader.i32());
  return unitsText((high << 32n) + BigInt(reader.u32()), MONEY_SCALE);
}

export function writeMoney(writer: Writer, value: SqlValue, { name }: SqlType): void {
  const units = unitsOf(value, MONEY_SCALE);
  if (BigInt.asIntN(name === 'money' ? 64 : 32, units) !== units)
    throw new Error(`${String(value)} is too much ${name}`);
  writer.u8(name === 'money' ? 8 : 4);
  if (name === 'money') {
    writer.i32(Number(units >> 32n));
    writer.u32(Number(BigInt.asUintN(32, units)));
  } else {
    writer.i32(Number(units));
  }
}
