/** Tokens, one after the other, with what every part of the parser needs of them. */
import { syntax, type Token, tokensOf } from './tokens.ts';

export class TokenReader {
  readonly sql: string;
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(sql: string) {
    this.sql = sql;
    this.#tokens = tokensOf(sql);
  }

  get token(): Token {
    return this.#tokens[this.#at]!;
  }

  /** End of the token before. */
  get endBefore(): number {
    return this.#tokens[this.#at - 1]?.end ?? 0;
  }

  ahead(by: number): Token {
    return this.#tokens[Math.min(this.#at + by, this.#tokens.length - 1)]!;
  }

  next(): Token {
    const { token } = this;
    if (token.kind !== 'end') this.#at++;
    return token;
  }

  /** The token is one of these words, which are in lower case. */
  isWord(...words: readonly string[]): boolean {
    return this.token.kind === 'word' && words.includes(this.token.lower);
  }

  isSign(sign: string): boolean {
    return this.token.kind === 'sign' && this.token.text === sign;
  }

  /** All of these words, in order; takes them. */
  takeWords(...words: readonly string[]): boolean {
    const all = words.every((word, i) => this.ahead(i).kind === 'word' && this.ahead(i).lower === word);
    if (all) this.#at += words.length;
    return all;
  }

  takeSign(sign: string): boolean {
    const is = this.isSign(sign);
    if (is) this.#at++;
    return is;
  }

  mustWords(...words: readonly string[]): void {
    for (const word of words) if (!this.takeWords(word)) throw this.wrong();
  }

  mustSign(sign: string): void {
    if (!this.takeSign(sign)) throw this.wrong();
  }

  mustEnd(): void {
    if (this.token.kind !== 'end') throw this.wrong();
  }

  /** A name of one part. */
  name(): string {
    const { token } = this;
    if (token.kind !== 'word' && token.kind !== 'quoted') throw this.wrong();
    return this.next().text;
  }

  /** `a.b.c`. */
  names(): string[] {
    const parts = [this.name()];
    while (this.takeSign('.')) parts.push(this.name());
    return parts;
  }

  number(): number {
    const isNegative = this.takeSign('-');
    if (this.token.kind !== 'number') throw this.wrong();
    return Number(this.next().text) * (isNegative ? -1 : 1);
  }

  text(): string {
    if (this.token.kind !== 'text') throw this.wrong();
    return this.next().text;
  }

  /** What stands between commas. */
  list<T>(read: () => T): T[] {
    const items = [read()];
    while (this.takeSign(',')) items.push(read());
    return items;
  }

  inBrackets<T>(read: () => T): T {
    this.mustSign('(');
    const found = read();
    this.mustSign(')');
    return found;
  }

  /** A type with its length: `nvarchar(50)`, `decimal(10, 2)`. */
  type(): string {
    const parts = this.names();
    const base = parts.at(-1)!.toLowerCase();
    if (!this.takeSign('(')) return base;
    const inside = this.list(() => this.next().lower);
    this.mustSign(')');
    return `${base}(${inside.join(',')})`;
  }

  wrong(): Error {
    return syntax(this.token.kind === 'end' ? 'end of text' : this.token.text);
  }
}
