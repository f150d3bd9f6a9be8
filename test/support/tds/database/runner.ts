/** Runs batches on a session: statement by statement, with what SQL Server does when one fails. */

import type { ColumnSpec } from '../answer.ts';
import { SqlError } from '../errors.ts';
import type { SqlType, SqlValue } from '../types.ts';
import { compile, compileCondition, converted } from './compile-expression.ts';
import { compileSelect, type Selected } from './compile-select.ts';
import { compileDelete, compileInsert, compileUpdate, type Written } from './compile-write.ts';
import { define } from './define.ts';
import { toSqlError } from './failures.ts';
import { parseBatch } from './parse.ts';
import { callProcedure } from './procedures.ts';
import { Compiling, Scope } from './scope.ts';
import type { SqlSession, Variables } from './session.ts';
import type { Batch, Expression, Statement } from './syntax.ts';
import { type Cell, typeOf, wireOf } from './values.ts';

/** What gets the answer: an `Answer`, or a test's own. */
export interface Sink {
  readonly signal: AbortSignal;
  columns(columns: readonly ColumnSpec[]): void;
  row(values: readonly SqlValue[]): Promise<void> | undefined;
  done(count?: number | bigint | null): void;
  error(error: SqlError): void;
  began(): void;
  committed(): void;
  rolledBack(): void;
}

/** A statement that is about to run. */
export interface Step {
  /** The name in the comment at the start of its batch; null for others. */
  readonly name: string | null;
  readonly kind: Statement['kind'];
  readonly text: string;
  /** Of its batch, from 0. */
  readonly index: number;
  readonly spid: number;
  /** Ends the connection, and with it the batch. */
  cut(): void;
}

export interface Frame {
  readonly name: string | null;
  readonly variables: Variables;
  steps: number;
}

type Compiled = {
  readonly selected: Selected | null;
  readonly written: Written | null;
  readonly sql: string;
  readonly compiling: Compiling;
};

/** Errors that end a statement and not its batch, unless XACT_ABORT is on. */
const OF_STATEMENT = new Set([515, 547, 2601, 2627, 2628, 8152]);

export class Runner {
  readonly session: SqlSession;
  readonly #before: (step: Step) => Promise<void> | undefined;
  readonly #compiled = new WeakMap<Statement, { readonly key: string; readonly compiled: Compiled }>();

  constructor(session: SqlSession, before: (step: Step) => Promise<void> | undefined) {
    this.session = session;
    this.#before = before;
  }

  async run(sql: string, variables: Variables, name: string | null, sink: Sink): Promise<void> {
    const batch = parseBatch(sql);
    const known = new Set(this.session.catalog.temporary);
    try {
      await this.runAll(batch, { name, variables, steps: 0 }, sink);
    } finally {
      // Table variables live as long as their batch.
      if (!this.session.isClosed)
        this.session.dropTemporary(
          this.session.catalog.temporary.filter(table => table.name.startsWith('@') && !known.has(table)),
        );
    }
  }

  /** True: RETURN. */
  async runAll(batch: Batch, frame: Frame, sink: Sink): Promise<boolean> {
    for (const statement of batch) {
      try {
        if (await this.#run(statement, frame, sink)) return true;
      } catch (thrown) {
        sink.signal.throwIfAborted();
        const error = toSqlError(thrown);
        const { session } = this;
        if (session.transaction.count === 0) session.transaction.rollback();
        if (error.rollsBack || session.abortsOnError || !OF_STATEMENT.has(error.number)) {
          const rollsBack = (error.rollsBack || session.abortsOnError) && session.transaction.count > 0;
          throw rollsBack === error.rollsBack ? error : ending(error, rollsBack);
        }
        session.rowCount = 0;
        sink.error(error);
      }
    }
    return false;
  }

  async #run(statement: Statement, frame: Frame, sink: Sink): Promise<boolean> {
    const { session } = this;
    if (statement.kind === 'block') return this.runAll(statement.statements, frame, sink);
    await this.#step(statement, frame, sink);
    switch (statement.kind) {
      case 'if': {
        const is = await this.#isTrue(statement.when, frame, sink);
        session.rowCount = 0;
        if (is) return this.#run(statement.action, frame, sink);
        return statement.otherwise ? this.#run(statement.otherwise, frame, sink) : false;
      }
      case 'return':
        return true;
      case 'checkpoint':
        return false;
      case 'select':
      case 'insert':
      case 'update':
      case 'delete':
        await this.#query(statement, frame, sink);
        return false;
      case 'declare':
        for (const { name, type, value } of statement.variables) {
          if (frame.variables.has(name))
            throw new SqlError(134, `The variable name '${name}' has already been declared.`, { class: 15 });
          const declared = typeOf(type);
          const cell = value === null ? null : await this.value(value, declared, frame, sink);
          frame.variables.set(name, { type: declared, cell });
        }
        return false;
      case 'set-variable': {
        const variable = frame.variables.get(statement.name);
        if (!variable) throw new SqlError(137, `Must declare the scalar variable "${statement.name}".`, { class: 15 });
        variable.cell = await this.value(statement.value, variable.type, frame, sink);
        session.rowCount = 1;
        return false;
      }
      case 'declare-table':
        session.definitions.create([statement.name], statement.table);
        return false;
      case 'begin':
        if (session.transaction.count++ === 0) sink.began();
        return false;
      case 'commit':
        this.#commit(sink);
        return false;
      case 'rollback':
        if (session.transaction.count === 0)
          throw new SqlError(3903, 'The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.');
        session.transaction.rollback();
        sink.rolledBack();
        return false;
      case 'throw': {
        const [number, message, state] = await Promise.all([
          this.value(statement.number, typeOf('int'), frame, sink),
          this.value(statement.message, typeOf('nvarchar(2048)'), frame, sink),
          this.value(statement.state, typeOf('int'), frame, sink),
        ]);
        throw new SqlError(Number(number), String(message), { state: Number(state) });
      }
      case 'execute':
        await callProcedure(this, statement, frame, sink);
        return false;
      default:
        await define(session, statement, sink.signal);
        return false;
    }
  }

  /** A value of an expression, as that type. */
  async value(expression: Expression, type: SqlType, frame: Frame, sink: Sink): Promise<Cell> {
    const compiling = this.compiling(frame);
    const { sql } = converted(compile(new Scope(compiling, null), expression), type);
    const [cell] = await this.#one(sql, compiling, frame, sink);
    return cell ?? null;
  }

  compiling({ variables }: Frame): Compiling {
    return new Compiling(this.session.catalog, new Map([...variables].map(([name, { type }]) => [name, type])));
  }

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #step({ kind, text }: Statement, frame: Frame, sink: Sink): Promise<void> {
    const { session } = this;
    const wait = this.#before({
      name: frame.name,
      kind,
      text,
      index: frame.steps++,
      spid: session.spid,
      cut: () => session.cut(),
    });
    if (wait) await wait;
    sink.signal.throwIfAborted();
    if (session.isClosed)
      throw new SqlError(596, 'Cannot continue the execution because the session is in the kill state.', { class: 21 });
  }

  async #isTrue(when: Expression, frame: Frame, sink: Sink): Promise<boolean> {
    const compiling = this.compiling(frame);
    const sql = `CASE WHEN ${compileCondition(new Scope(compiling, null), when)} THEN 1 ELSE 0 END`;
    const [is] = await this.#one(sql, compiling, frame, sink);
    return is === 1n;
  }

  async #one(expression: string, compiling: Compiling, frame: Frame, sink: Sink): Promise<readonly Cell[]> {
    await this.#access(compiling, sink.signal);
    const found = this.session.prepare(`SELECT ${expression}`).get(values(compiling, frame)) as unknown as Cell[];
    return found;
  }

  async #query(statement: Statement, frame: Frame, sink: Sink): Promise<void> {
    const { session } = this;
    const { selected, written, sql, compiling } = this.#compile(statement, frame);
    if (compiling.isWaiting && !session.transaction.isOpen) {
      const owner = {};
      await session.database.lock.take(owner, sink.signal);
      session.database.lock.free(owner);
    }
    if (written && written.table.kind === 'user') {
      session.mustBeGranted(
        { insert: 'INSERT', update: 'UPDATE', delete: 'DELETE' }[statement.kind as 'insert'],
        written.table,
      );
      await session.transaction.write(sink.signal);
    }
    await this.#access(compiling, sink.signal);
    if (written) await this.#write(statement, written, sql, compiling, frame, sink);
    else if (selected!.into) this.#assign(selected!, sql, compiling, frame);
    else await this.#select(selected!.columns, sql, compiling, frame, sink);
    session.transaction.settle(true);
  }

  #compile(statement: Statement, frame: Frame): Compiled {
    const types = [...frame.variables].map(([name, { type }]) => `${name} ${type.text}`).join(',');
    const key = `${this.session.catalog.generation}|${types}`;
    const known = this.#compiled.get(statement);
    if (known?.key === key) return known.compiled;
    const compiling = this.compiling(frame);
    const selected = statement.kind === 'select' ? compileSelect(compiling, null, statement.select) : null;
    const written =
      statement.kind === 'insert'
        ? compileInsert(compiling, statement, table => this.session.identityInsert.has(table.objectId))
        : statement.kind === 'update'
          ? compileUpdate(compiling, statement)
          : statement.kind === 'delete'
            ? compileDelete(compiling, statement)
            : null;
    const compiled = { selected, written, sql: (selected ?? written)!.sql, compiling };
    // Whether identities may be given is no part of the key.
    if (!written?.table.columns.some(column => column.identity)) this.#compiled.set(statement, { key, compiled });
    return compiled;
  }

  async #access(compiling: Compiling, signal: AbortSignal): Promise<void> {
    const { session } = this;
    for (const table of compiling.reads) session.mustBeGranted('SELECT', table);
    if (compiling.isLocking && session.transaction.count > 0) await session.transaction.write(signal);
    await session.transaction.read(compiling.reads, signal);
  }

  async #select(
    columns: Selected['columns'],
    sql: string,
    compiling: Compiling,
    frame: Frame,
    sink: Sink,
  ): Promise<void> {
    const rows = this.session.prepare(sql).iterate(values(compiling, frame)) as unknown as Iterable<Cell[]>;
    const types = columns.map(column => column.type);
    let count = 0;
    sink.columns(columns.map(({ name, type }) => ({ name, type: type.text })));
    for (const row of rows) {
      const wait = sink.row(types.map((type, i) => wireOf(type, row[i])));
      count++;
      if (wait) await wait;
    }
    this.session.rowCount = count;
    sink.done(count);
  }

  #assign({ into, columns }: Selected, sql: string, compiling: Compiling, frame: Frame): void {
    const variables = into!.map(name => frame.variables.get(name));
    const rows = this.session.prepare(sql).all(values(compiling, frame)) as unknown as Cell[][];
    const last = rows.at(-1);
    this.session.rowCount = rows.length;
    variables.forEach((variable, i) => {
      if (!variable) throw new SqlError(137, `Must declare the scalar variable "${into![i]}".`, { class: 15 });
      if (!last) return;
      const { sql: convert } = converted({ ...columns[i]!, sql: '@p' }, variable.type);
      variable.cell = (this.session.prepare(`SELECT ${convert}`).get({ p: last[i]! }) as unknown as [Cell])[0];
    });
  }

  async #write(
    statement: Statement,
    written: Written,
    sql: string,
    compiling: Compiling,
    frame: Frame,
    sink: Sink,
  ): Promise<void> {
    const { session } = this;
    const { context } = statement as { context: Expression | null };
    session.context =
      context === null
        ? null
        : ((await this.value(context, typeOf('varbinary(128)'), frame, sink)) as Uint8Array | null);
    session.sets = written.sets;
    session.beginCommand();
    try {
      const prepared = session.prepare(sql);
      const given = values(compiling, frame);
      if (written.columns) {
        const rows = prepared.all(given) as unknown as Cell[][];
        session.rowCount = rows.length;
        sink.columns(written.columns.map(({ name, type }) => ({ name, type: type.text })));
        for (const row of rows) await sink.row(written.columns.map(({ type }, i) => wireOf(type, row[i])));
        sink.done(rows.length);
      } else {
        const { changes } = prepared.run(given);
        session.rowCount = Number(changes);
        if (session.isCounting) sink.done(session.rowCount);
      }
    } finally {
      session.context = null;
      session.sets = null;
    }
  }

  #commit(sink: Sink): void {
    const { transaction } = this.session;
    if (transaction.count === 0)
      throw new SqlError(3902, 'The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.');
    if (transaction.count > 1) {
      transaction.count--;
      return;
    }
    transaction.commit();
    sink.committed();
  }
}

function values({ uses }: Compiling, { variables }: Frame): Record<string, Cell> {
  return Object.fromEntries(uses.map((name, i) => [`p${i}`, variables.get(name)!.cell]));
}

function ending({ number, message, class: its, state, line, procedure }: SqlError, rollsBack: boolean): SqlError {
  return new SqlError(number, message, { class: its, state, line, procedure, rollsBack });
}
