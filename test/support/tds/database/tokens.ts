/** T-SQL as words: names, texts, numbers, variables, signs. Comments are passed over. */
import { SqlError } from '../errors.ts';

export type TokenKind = 'word' | 'quoted' | 'text' | 'number' | 'bytes' | 'variable' | 'sign' | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** Without brackets and quotes. */
  readonly text: string;
  /** Of a word in lower case; else as `text`. */
  readonly lower: string;
  readonly at: number;
  readonly end: number;
}

const PATTERN = new RegExp(
  [
    '(\\s+|--[^\\n]*)',
    "[nN]?'((?:[^']|'')*)'",
    '\\[((?:[^\\]]|\\]\\])*)\\]',
    '"((?:[^"]|"")*)"',
    '0[xX]([0-9a-fA-F]*)',
    '((?:\\d+(?:\\.\\d*)?|\\.\\d+)(?:[eE][+-]?\\d+)?)',
    '(@@?[\\p{L}\\w@#$]+)',
    '(#{0,2}[\\p{L}_][\\p{L}\\w@#$]*)',
    '(<=|>=|<>|!=|::|[-+*/%=<>(),.;])',
  ].join('|'),
  'uy',
);
const KINDS: readonly (TokenKind | null)[] = [
  null,
  'text',
  'quoted',
  'quoted',
  'bytes',
  'number',
  'variable',
  'word',
  'sign',
];

/** Throws 102 for what is no T-SQL. */
export function tokensOf(sql: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < sql.length; ) {
    if (sql.startsWith('/*', at)) {
      at = commentEnd(sql, at);
      continue;
    }
    PATTERN.lastIndex = at;
    const match = PATTERN.exec(sql);
    if (!match) throw syntax(sql.slice(at, at + 20));
    const group = match.findIndex((part, i) => i > 0 && part !== undefined) - 1;
    const kind = KINDS[group]!;
    at = PATTERN.lastIndex;
    if (kind === null) continue;
    const raw = match[group + 1]!;
    const text =
      group === 1
        ? raw.replaceAll("''", "'")
        : group === 2
          ? raw.replaceAll(']]', ']')
          : group === 3
            ? raw.replaceAll('""', '"')
            : raw;
    const lower = kind === 'word' || kind === 'variable' ? text.toLowerCase() : text;
    tokens.push({ kind, text, lower, at: match.index, end: at });
  }
  tokens.push({ kind: 'end', text: '', lower: '', at: sql.length, end: sql.length });
  return tokens;
}

export function syntax(near: string): SqlError {
  return new SqlError(102, `Incorrect syntax near '${near}'.`, { class: 15 });
}

/** Comments nest. */
function commentEnd(sql: string, from: number): number {
  let depth = 0;
  for (let at = from; at < sql.length; at++) {
    if (sql.startsWith('/*', at)) {
      depth++;
      at++;
    } else if (sql.startsWith('*/', at)) {
      depth--;
      at++;
      if (depth === 0) return at + 1;
    }
  }
  throw new SqlError(113, "Missing end comment mark '*/'.", { class: 15 });
}
