/** A handler for the tests of the server itself: it answers each text by a function, and knows no statement. */
import type { Answer } from './answer.ts';
import type { BulkRows, BulkTarget } from './bulk.ts';
import { errors } from './errors.ts';
import type { Handler, Query, Session } from './handler.ts';
import type { Call, IsolationLevel } from './requests.ts';

export type Script = (query: Query, answer: Answer) => void | Promise<void>;

export class Scripted implements Handler {
  readonly session: Session;
  /** What was asked, in short. */
  readonly asked: string[] = [];
  readonly loaded: { readonly target: BulkTarget; readonly rows: BulkRows }[] = [];
  isClosed = false;
  readonly #scripts: Readonly<Record<string, Script>>;

  constructor(session: Session, scripts: Readonly<Record<string, Script>> = {}) {
    this.session = session;
    this.#scripts = scripts;
  }

  async query(query: Query, answer: Answer): Promise<void> {
    // What tedious sends after a login and with a reset.
    if (query.sql.startsWith('set ansi_nulls')) return;
    this.asked.push(query.sql);
    const script = this.#scripts[query.sql];
    if (!script) throw errors.refused(`unknown: ${query.sql}`);
    await script(query, answer);
  }

  async call(call: Call, answer: Answer): Promise<void> {
    this.asked.push(call.name);
    await this.#scripts[call.name]?.({ sql: call.name, params: call.params, declaration: '' }, answer);
  }

  begin(level: IsolationLevel | null, name: string): void {
    this.asked.push(['begin', level, name].filter(Boolean).join(' '));
  }

  commit(): void {
    this.asked.push('commit');
  }

  rollback(): void {
    this.asked.push('rollback');
  }

  save(name: string): void {
    this.asked.push(`save ${name}`);
  }

  rollbackTo(name: string): void {
    this.asked.push(`rollback to ${name}`);
  }

  bulk(target: BulkTarget): (rows: BulkRows) => number {
    return rows => {
      this.loaded.push({ target, rows });
      return rows.rows.length;
    };
  }

  reset(): void {
    this.asked.push('reset');
  }

  close(): void {
    this.isClosed = true;
  }
}
