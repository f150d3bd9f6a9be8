/**
 * The answer to one request: result sets, counts, errors, output parameters, in the order in which they are given. What SQL
 * Server puts around them comes by itself: DONE with or without MORE, DONEINPROC, the return status.
 */

import { nullBytes } from './codec.ts';
import type { SqlError } from './errors.ts';
import type { Response } from './response.ts';
import {
  type Column,
  DONE,
  TOKEN,
  writeBegin,
  writeColumns,
  writeDatabase,
  writeDone,
  writeEnd,
  writeError,
  writeInfo,
  writeReturnStatus,
  writeReturnValue,
  writeRow,
} from './tokens.ts';
import { type SqlType, type SqlValue, sqlType } from './types.ts';

export interface ColumnSpec {
  readonly name: string;
  /** A declaration: `decimal(18,4)`. */
  readonly type: string;
  /** True unless said. */
  readonly isNullable?: boolean;
}

/** The transaction of a session, as the client knows it. */
export interface Transactions {
  /** Gives the descriptor. Throws where there is one. */
  begun(): bigint;
  /** Gives what the descriptor was. Throws where there is none. */
  ended(): bigint;
  /** Gives the name before. */
  uses(database: string): string;
}

/** How nulls are told: in each place, by bits before the row, or as is shorter. */
export type NullForm = 'row' | 'bitmap' | 'shorter';

const SELECT = 0xc1;

export class Answer {
  /** Aborts when the client cancels or is gone. A handler that waits for something else than `row` must heed it. */
  readonly signal: AbortSignal;
  readonly #response: Response;
  readonly #transactions: Transactions;
  readonly #isCall: boolean;
  readonly #nulls: NullForm;
  #columns: readonly Column[] | null = null;
  #rows = 0n;
  /** A DONE waits for what comes next: only then is it known whether there is more. */
  #done: { readonly status: number; readonly command: number; readonly count: bigint | null } | null = null;
  #error: SqlError | null = null;
  #hasError = false;
  #status: number | null = null;
  #outputs: { readonly name: string; readonly type: SqlType; readonly value: SqlValue }[] = [];

  /** `isCall`: of a procedure, which is answered by other tokens than a batch. */
  constructor(
    response: Response,
    transactions: Transactions,
    signal: AbortSignal,
    isCall: boolean,
    nulls: NullForm = 'shorter',
  ) {
    this.#response = response;
    this.#transactions = transactions;
    this.signal = signal;
    this.#isCall = isCall;
    this.#nulls = nulls;
  }

  /** Begins a result set. */
  columns(columns: readonly ColumnSpec[]): void {
    if (this.#columns) throw new Error('a result set within another: `done` is missing');
    this.#settle();
    this.#columns = columns.map(({ name, type, isNullable = true }) => ({ name, type: sqlType(type), isNullable }));
    writeColumns(this.#response.writer, this.#columns);
  }

  /** A promise: the client reads slower than this writes, go on when it resolves. Throws, or rejects, when the client cancelled. */
  row(values: readonly SqlValue[]): Promise<void> | undefined {
    if (this.signal.aborted) this.signal.throwIfAborted();
    const columns = this.#columns;
    if (columns?.length !== values.length)
      throw new Error(`${values.length} values for ${columns?.length ?? 0} columns`);
    const { writer } = this.#response;
    const from = writer.at;
    try {
      writeRow(writer, columns, values, this.#hasBitmap(columns, values));
    } catch (error) {
      writer.at = from;
      throw error;
    }
    this.#rows++;
    return this.#response.gathered(this.signal);
  }

  /** Ends a result set or a statement without one. `count`: the rows it touched; those written of a result set; null says nothing. */
  done(count: number | bigint | null = this.#columns ? this.#rows : null): void {
    this.#settle();
    this.#done = {
      status: this.#hasError ? DONE.error : 0,
      command: this.#columns ? SELECT : 0,
      count: count === null ? null : BigInt(count),
    };
    this.#columns = null;
    this.#rows = 0n;
    this.#hasError = false;
  }

  /** Several may come. With class 20 or more the connection is closed after the answer. A rollback is to be told by `rolledBack`. */
  error(error: SqlError): void {
    this.#settle();
    writeError(this.#response.writer, error);
    this.#error = error.isFatal || !this.#error ? error : this.#error;
    this.#hasError = true;
  }

  /** A message that is no error: PRINT, and the like. */
  info(number: number, message: string): void {
    this.#settle();
    writeInfo(this.#response.writer, number, message);
  }

  /** Of a procedure; 0, or the number of the error, unless said. */
  returnStatus(status: number): void {
    this.#status = status;
  }

  /** An output parameter of a procedure, with its `@`. */
  output(name: string, type: string | SqlType, value: SqlValue): void {
    this.#outputs.push({ name, type: typeof type === 'string' ? sqlType(type) : type, value });
  }

  /** The text of a batch began a transaction. */
  began(): void {
    this.#settle();
    writeBegin(this.#response.writer, this.#transactions.begun());
  }

  committed(): void {
    this.#settle();
    writeEnd(this.#response.writer, 'commit', this.#transactions.ended());
  }

  /** By the text of a batch, or by an error. */
  rolledBack(): void {
    this.#settle();
    writeEnd(this.#response.writer, 'rollback', this.#transactions.ended());
  }

  /** USE. */
  database(name: string): void {
    this.#settle();
    writeDatabase(this.#response.writer, name, this.#transactions.uses(name));
    writeInfo(this.#response.writer, 5701, `Changed database context to '${name}'.`);
  }

  /** Sends what was written, in a packet that is not full. A promise: as of `row`. */
  flush(): Promise<void> | undefined {
    this.signal.throwIfAborted();
    return this.#response.flush(this.signal);
  }

  /** An error of class 20 or more was told. */
  get isFatal(): boolean {
    return this.#error?.isFatal ?? false;
  }

  /** The server's part: ends the answer. `isCancelled`: by a DONE of its own, whatever was open. */
  finish(isCancelled: boolean): void {
    const { writer } = this.#response;
    const end = this.#hasError || isCancelled ? DONE.error | (this.isFatal ? DONE.fatal : 0) : DONE.final;
    if (isCancelled) {
      this.#settle();
      writeDone(writer, TOKEN.done, end, 0, null);
    } else if (this.#isCall) {
      if (this.#columns) this.done();
      this.#settle();
      writeReturnStatus(writer, this.#status ?? this.#error?.number ?? 0);
      for (const { name, type, value } of this.#outputs) writeReturnValue(writer, name, type, value);
      writeDone(writer, TOKEN.doneProc, end, 0, null);
    } else {
      if (this.#columns || this.#hasError || !this.#done) this.done();
      const { status, command, count } = this.#done!;
      writeDone(writer, TOKEN.done, status | (this.isFatal ? DONE.fatal : 0), command, count);
    }
    this.#response.end();
  }

  #settle(): void {
    if (!this.#done) return;
    const { status, command, count } = this.#done;
    this.#done = null;
    writeDone(this.#response.writer, this.#isCall ? TOKEN.doneInProc : TOKEN.done, status | DONE.more, command, count);
  }

  #hasBitmap(columns: readonly Column[], values: readonly SqlValue[]): boolean {
    if (this.#nulls !== 'shorter') return this.#nulls === 'bitmap';
    let saved = 0;
    for (let at = 0; at < columns.length; at++) if (values[at] === null) saved += nullBytes(columns[at]!.type);
    return saved > Math.ceil(columns.length / 8);
  }
}
