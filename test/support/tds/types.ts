/** The SQL types that this server can send and read, by the text that declares them (reference 3.8, 3.9). */

/** Of (max) types, in the place of a length. */
export const MAX = 0xffff;

export interface SqlType {
  readonly name: TypeName;
  /** As in a declaration: `decimal(18,4)`, `nvarchar(max)`. */
  readonly text: string;
  /** Of texts in chars of the column's kind, of binaries in bytes; MAX for (max); 0 for other types. */
  readonly length: number;
  /** Of decimal and numeric, else 0. */
  readonly precision: number;
  /** Of decimal, numeric and the types with fractions of a second, else 0. */
  readonly scale: number;
}

export type TypeName = keyof typeof FORMS;

/**
 * A value by its type: bigint → bigint; int, smallint, tinyint, float, real → number; bit → boolean; decimal, numeric, money,
 * smallmoney → exact text; texts, xml and uniqueidentifier (upper case) → string; binaries → Buffer; dates and times → text
 * with as many digits as the type has, `2026-01-31 23:59:59.1234567 +02:00`.
 */
export type SqlValue = string | number | bigint | boolean | Uint8Array | null;

/** What stands in the parentheses of a declaration, with what holds when they are left out. */
type Form =
  | { readonly kind: 'plain' }
  | { readonly kind: 'length'; readonly most: number; readonly hasMax: boolean }
  | { readonly kind: 'decimal' }
  | { readonly kind: 'scale' };

const plain: Form = { kind: 'plain' };
const scale: Form = { kind: 'scale' };
const decimal: Form = { kind: 'decimal' };
const upTo = (most: number, hasMax: boolean): Form => ({ kind: 'length', most, hasMax });

const FORMS = {
  bigint: plain,
  int: plain,
  smallint: plain,
  tinyint: plain,
  bit: plain,
  float: plain,
  real: plain,
  decimal,
  numeric: decimal,
  money: plain,
  smallmoney: plain,
  nvarchar: upTo(4000, true),
  nchar: upTo(4000, false),
  varchar: upTo(8000, true),
  char: upTo(8000, false),
  varbinary: upTo(8000, true),
  binary: upTo(8000, false),
  datetime2: scale,
  datetimeoffset: scale,
  time: scale,
  date: plain,
  datetime: plain,
  smalldatetime: plain,
  uniqueidentifier: plain,
  xml: plain,
} as const satisfies Record<string, Form>;

const DECLARATION = /^\s*\[?([a-z][a-z0-9]*)\]?\s*(?:\(\s*(max|\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*$/i;
const known = new Map<string, SqlType>();

/** Of a declaration. Throws an Error for what is none. */
export function sqlType(declaration: string): SqlType {
  let type = known.get(declaration);
  if (!type) {
    type = parsed(declaration);
    if (known.size < 10_000) known.set(declaration, type);
  }
  return type;
}

function parsed(declaration: string): SqlType {
  const [, word = '', first, second] = DECLARATION.exec(declaration) ?? [];
  const name = word.toLowerCase();
  const type = isTypeName(name) ? typed(name, first?.toLowerCase(), second) : null;
  if (!type) throw new Error(`no type that the test server knows: ${declaration}`);
  return type;
}

/** Null for what is out of bounds. */
function typed(name: TypeName, first: string | undefined, second: string | undefined): SqlType | null {
  const form: Form = FORMS[name];
  if (form.kind !== 'decimal' && second !== undefined) return null;
  switch (form.kind) {
    case 'plain':
      return first === undefined || name === 'float' ? { name, text: name, length: 0, precision: 0, scale: 0 } : null;
    case 'length': {
      if (first === 'max') return form.hasMax ? lengthType(name, MAX) : null;
      const length = Number(first ?? 1);
      return length >= 1 && length <= form.most ? lengthType(name, length) : null;
    }
    case 'scale': {
      const digits = Number(first ?? 7);
      return digits <= 7 ? { name, text: `${name}(${digits})`, length: 0, precision: 0, scale: digits } : null;
    }
    case 'decimal': {
      const precision = Number(first ?? 18);
      const digits = Number(second ?? 0);
      if (!(precision >= 1 && precision <= 38 && digits <= precision)) return null;
      return { name, text: `${name}(${precision},${digits})`, length: 0, precision, scale: digits };
    }
  }
}

const lengthType = (name: TypeName, length: number): SqlType => ({
  name,
  text: `${name}(${length === MAX ? 'max' : length})`,
  length,
  precision: 0,
  scale: 0,
});

const isTypeName = (name: string): name is TypeName => Object.hasOwn(FORMS, name);
