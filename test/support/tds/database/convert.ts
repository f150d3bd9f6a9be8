/** CONVERT, and what SQL Server converts by itself: from one type to another, with its errors. */
import { SqlError } from '../errors.ts';
import type { SqlType } from '../types.ts';
import { type Cell, decimalText, familyOf, lengthOf, scaleOf, unitsOf } from './values.ts';

const LIMITS: Readonly<Record<string, readonly [bigint, bigint]>> = {
  bigint: [-(2n ** 63n), 2n ** 63n - 1n],
  int: [-(2n ** 31n), 2n ** 31n - 1n],
  smallint: [-32_768n, 32_767n],
  tinyint: [0n, 255n],
};
const MONEY_MOST = 2n ** 63n;
const SMALL_MONEY_MOST = 2n ** 31n;
const DAY = 86_400_000;

export type Converter = (cell: Exclude<Cell, null>) => Cell;

/** `isAssigned`: into a column, where a text that is too long is refused and not cut. */
export function converterOf(from: SqlType, to: SqlType, style: number, isAssigned: boolean): Converter {
  const source = familyOf(from);
  const wrong = (): SqlError =>
    new SqlError(529, `Explicit conversion from data type ${from.name} to ${to.name} is not allowed.`);
  switch (familyOf(to)) {
    case 'whole':
      return cell => whole(cell, from, to);
    case 'float':
      if (source === 'bytes' || source === 'time' || source === 'guid') throw wrong();
      return cell => {
        if (source === 'decimal') return Number(decimalText(cell as bigint, scaleOf(from)));
        const number = source === 'text' ? numberOf(String(cell)) : Number(cell);
        if (Number.isNaN(number)) throw notOf(from, to);
        return to.name === 'real' ? Math.fround(number) : number;
      };
    case 'decimal':
      return cell => decimal(cell, from, to);
    case 'text':
      return cell => cut(text(cell, from, style), to, isAssigned);
    case 'bytes':
      return cell => bytes(cell, from, to, style);
    case 'guid':
      if (source !== 'text' && source !== 'guid') throw wrong();
      return cell => guid(String(cell));
    case 'time':
      if (source !== 'text' && source !== 'time') throw wrong();
      return cell => time(String(cell), from, to);
  }
}

function notOf(from: SqlType, to: SqlType): SqlError {
  return new SqlError(8114, `Error converting data type ${from.name} to ${to.name}.`);
}

function overflow(to: SqlType): SqlError {
  return new SqlError(8115, `Arithmetic overflow error converting expression to data type ${to.name}.`);
}

function numberOf(given: string): number {
  const trimmed = given.trim();
  return trimmed === '' ? 0 : /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(trimmed) ? Number(trimmed) : Number.NaN;
}

function whole(cell: Exclude<Cell, null>, from: SqlType, to: SqlType): bigint {
  let found: bigint;
  switch (familyOf(from)) {
    case 'whole':
      found = BigInt(cell as bigint);
      break;
    case 'float':
      found = BigInt(Math.trunc(Number(cell)));
      break;
    case 'decimal':
      found = BigInt(cell as bigint) / 10n ** BigInt(scaleOf(from));
      break;
    case 'text': {
      const trimmed = String(cell).trim().toLowerCase();
      if (to.name === 'bit' && (trimmed === 'true' || trimmed === 'false')) return trimmed === 'true' ? 1n : 0n;
      if (!/^[+-]?\d*$/.test(trimmed) || trimmed === '+' || trimmed === '-')
        throw to.name === 'bigint'
          ? notOf(from, to)
          : new SqlError(
              245,
              `Conversion failed when converting the ${from.name} value '${String(cell)}' to data type ${to.name}.`,
            );
      found = BigInt(trimmed || 0);
      break;
    }
    default:
      throw notOf(from, to);
  }
  if (to.name === 'bit') return found === 0n ? 0n : 1n;
  const [least, most] = LIMITS[to.name]!;
  if (found >= least && found <= most) return found;
  throw familyOf(from) === 'text' && to.name !== 'bigint'
    ? new SqlError(248, `The conversion of the ${from.name} value '${String(cell)}' overflowed an ${to.name} column.`)
    : overflow(to);
}

function decimal(cell: Exclude<Cell, null>, from: SqlType, to: SqlType): bigint {
  const scale = scaleOf(to);
  let units: bigint;
  try {
    const source = familyOf(from);
    if (source === 'decimal') units = unitsOf(decimalText(BigInt(cell as bigint), scaleOf(from)), scale);
    else if (source === 'float') units = unitsOf(Number(cell).toFixed(scale), scale);
    else units = unitsOf(String(cell), scale);
  } catch {
    throw notOf(from, to);
  }
  const most =
    to.name === 'money' ? MONEY_MOST : to.name === 'smallmoney' ? SMALL_MONEY_MOST : 10n ** BigInt(to.precision);
  if (units >= most || units <= -most) throw overflow(to);
  return units;
}

function text(cell: Exclude<Cell, null>, from: SqlType, style: number): string {
  switch (familyOf(from)) {
    case 'decimal': {
      const exact = decimalText(BigInt(cell as bigint), scaleOf(from));
      const isMoney = from.name === 'money' || from.name === 'smallmoney';
      return isMoney && style !== 2 ? decimalText(unitsOf(exact, 2), 2) : exact;
    }
    case 'float': {
      const number = Number(cell);
      return style === 3 ? number.toExponential(16) : String(Number(number.toPrecision(6)));
    }
    case 'bytes': {
      if (style !== 1 && style !== 2) throw new SqlError(50_000, 'the test server: a binary as text without a style');
      const hex = Buffer.from(cell as Uint8Array)
        .toString('hex')
        .toUpperCase();
      return style === 1 ? `0x${hex}` : hex;
    }
    case 'time':
      return style === 126 ? String(cell).replace(' ', 'T') : String(cell);
    default:
      return String(cell);
  }
}

const BEYOND_LATIN = /[^\0-\xff]/;

function cut(given: string, to: SqlType, isAssigned: boolean): string {
  const most = lengthOf(to);
  // A narrow type holds what its code page has.
  const isNarrow = (to.name === 'varchar' || to.name === 'char') && BEYOND_LATIN.test(given);
  const kept = isNarrow ? given.replace(/[^\0-\xff€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]/gu, '?') : given;
  const isFixed = to.name === 'nchar' || to.name === 'char';
  if (kept.length <= most) return isFixed ? kept.padEnd(most) : kept;
  if (isAssigned && kept.slice(most).trim() !== '')
    throw new SqlError(2628, `String or binary data would be truncated. Truncated value: '${kept.slice(0, 100)}'.`);
  return kept.slice(0, most);
}

function bytes(cell: Exclude<Cell, null>, from: SqlType, to: SqlType, style: number): Uint8Array {
  let found: Uint8Array;
  if (cell instanceof Uint8Array) found = cell;
  else if (typeof cell === 'string' && (style === 1 || style === 2)) {
    const hex = style === 1 ? cell.replace(/^0x/i, '') : cell;
    if (!/^([0-9a-f]{2})*$/i.test(hex)) throw notOf(from, to);
    found = Buffer.from(hex, 'hex');
  } else if (typeof cell === 'string') found = Buffer.from(cell, from.name.startsWith('n') ? 'utf16le' : 'latin1');
  else throw new SqlError(50_000, `the test server: ${from.name} as ${to.name}`);
  const most = lengthOf(to);
  if (found.length > most) return found.slice(0, most);
  if (to.name !== 'binary' || found.length === most) return found;
  const padded = new Uint8Array(most);
  padded.set(found);
  return padded;
}

function guid(given: string): string {
  const trimmed = given.replace(/^\{|\}$/g, '');
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(trimmed))
    throw new SqlError(8169, 'Conversion failed when converting from a character string to uniqueidentifier.');
  return trimmed.toUpperCase();
}

const TIME =
  /^(?:(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,7}))?)?|(\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,7}))?) ?(Z|[+-]\d{2}:\d{2})?$/;

function time(given: string, from: SqlType, to: SqlType): string {
  const [, day, clock, fraction, alone, ofAlone, zone] = TIME.exec(given.trim()) ?? [];
  const hours = clock ?? alone ?? '00:00:00';
  const date = day ?? '1900-01-01';
  const whenItIs = Date.parse(`${date}T${hours.length === 5 ? `${hours}:00` : hours}Z`);
  if ((day === undefined && alone === undefined) || Number.isNaN(whenItIs))
    throw familyOf(from) === 'text'
      ? new SqlError(241, 'Conversion failed when converting date and/or time from character string.')
      : notOf(from, to);
  const digits = (fraction ?? ofAlone ?? '').padEnd(7, '0');
  return spelt(whenItIs, digits, to, zone === 'Z' ? '+00:00' : zone);
}

/** `digits`: seven of them behind the seconds. */
export function spelt(ms: number, digits: string, { name, scale }: SqlType, zone = '+00:00'): string {
  const second = Math.floor(ms / 1000) * 1000;
  const iso = new Date(second).toISOString();
  const [day, clock] = [iso.slice(0, 10), iso.slice(11, 19)];
  const fraction = (length: number): string => (length === 0 ? '' : `.${digits.slice(0, length)}`);
  switch (name) {
    case 'date':
      return day;
    case 'time':
      return clock + fraction(scale);
    case 'smalldatetime':
      return `${new Date(Math.round(second / 60_000) * 60_000).toISOString().slice(0, 16).replace('T', ' ')}:00`;
    case 'datetime':
      return `${day} ${clock}${fraction(3)}`;
    case 'datetimeoffset':
      return `${day} ${clock}${fraction(scale)} ${zone}`;
    default:
      return `${day} ${clock}${fraction(scale)}`;
  }
}

interface Instant {
  /** Ms since 1970. */
  readonly ms: number;
  /** Seven of them, behind the second. */
  readonly digits: string;
}

/** Rows of one transaction have one time. */
const instants = new Map<string, Instant>();
const INSTANTS = 1000;

function instantOf(cell: string): Instant {
  let found = instants.get(cell);
  if (!found) {
    found = readInstant(cell);
    if (instants.size >= INSTANTS) instants.clear();
    instants.set(cell, found);
  }
  return found;
}

function readInstant(cell: string): Instant {
  const [, day = '1900-01-01', clock = '00:00:00', fraction = ''] =
    /^(?:(\d{4}-\d{2}-\d{2}))?[ T]?(\d{2}:\d{2}:\d{2})?(?:\.(\d+))?/.exec(cell) ?? [];
  const digits = fraction.padEnd(7, '0');
  return { ms: Date.parse(`${day}T${clock}Z`) + Number(digits.slice(0, 3)), digits };
}

const PARTS: Readonly<Record<string, number>> = {
  millisecond: 1,
  ms: 1,
  second: 1000,
  ss: 1000,
  minute: 60_000,
  mi: 60_000,
  hour: 3_600_000,
  hh: 3_600_000,
  day: DAY,
  dd: DAY,
};

/** Throws 155. */
function msOf(part: string, of: 'datediff' | 'dateadd'): number {
  const ms = PARTS[part];
  if (ms === undefined) throw new SqlError(155, `'${part}' is not a recognized ${of} option.`, { class: 15 });
  return ms;
}

/** Boundaries of the part that lie between: DATEDIFF. */
export function difference(part: string, from: string, to: string): number {
  const [a, b] = [instantOf(from).ms, instantOf(to).ms];
  const unit = msOf(part, 'datediff');
  return Math.floor(b / unit) - Math.floor(a / unit);
}

/** DATEADD; of the type that it was given. */
export function added(part: string, count: number, to: string, type: SqlType): string {
  const unit = msOf(part, 'dateadd');
  const { ms, digits } = instantOf(to);
  const later = ms + unit * count;
  const thousandths = String(((later % 1000) + 1000) % 1000).padStart(3, '0');
  return spelt(later, thousandths + digits.slice(3), type);
}
