/** A session of the wire on a session of the database. */
import type { Answer } from '../answer.ts';
import type { BulkRows, BulkTarget } from '../bulk.ts';
import { errors, SqlError } from '../errors.ts';
import type { Handler, Query } from '../handler.ts';
import type { IsolationLevel } from '../requests.ts';
import { bindings } from './bindings.ts';
import { quote } from './catalog.ts';
import { converted } from './compile-expression.ts';
import { toSqlError } from './failures.ts';
import { checkStatement } from './named.ts';
import { TokenReader } from './reader.ts';
import { Runner, type Step } from './runner.ts';
import { mustColumn, piece } from './scope.ts';
import type { SqlSession, Variables } from './session.ts';
import { cellOf } from './values.ts';

export class DatabaseHandler implements Handler {
  readonly #session: SqlSession;
  readonly #runner: Runner;

  constructor(session: SqlSession, before: (step: Step) => Promise<void> | undefined) {
    this.#session = session;
    this.#runner = new Runner(session, before);
  }

  async query({ sql, params, declaration }: Query, answer: Answer): Promise<void> {
    const declared = bindings(declaration);
    const variables: Variables = new Map();
    for (const { name, type } of declared) {
      const param = params.find(one => one.name.toLowerCase() === name);
      if (!param)
        throw new SqlError(8178, `The parameterized query expects the parameter '${name}', which was not supplied.`);
      if (param.type.text !== type.text)
        throw errors.refused(`${name} is declared ${type.text} and came as ${param.type.text}`);
      variables.set(name, { type, cell: cellOf(type, param.value) });
    }
    if (params.length !== declared.length)
      throw errors.refused(`${params.length} parameters, ${declared.length} declared`);
    const name = checkStatement(sql, declared);
    await this.#runner.run(sql, variables, name, answer);
  }

  begin(level: IsolationLevel | null): void {
    const { transaction } = this.#session;
    if (level !== null) transaction.level = level;
    transaction.count = 1;
  }

  commit(): void {
    this.#session.transaction.commit();
  }

  rollback(): void {
    if (!this.#session.isClosed) this.#session.transaction.rollback();
  }

  bulk(target: BulkTarget): (load: BulkRows) => Promise<number> {
    const session = this.#session;
    const table = session.catalog.table(new TokenReader(target.table).names());
    const columns = target.columns.map(({ name }) => mustColumn(table, name));
    return async load => {
      if (table.kind === 'user') await session.transaction.write(new AbortController().signal);
      const values = columns.map((column, i) => {
        const of = load.columns[i];
        if (of?.name.toLowerCase() !== column.name.toLowerCase())
          throw new SqlError(4815, `Received an invalid column of bulk load: ${of?.name}`);
        return converted(piece(`@c${i}`, of.type), column.type, 0, true).sql;
      });
      const names = columns.map(column => quote(column.name)).join(', ');
      const insert = session.prepare(`INSERT INTO ${table.place} (${names}) VALUES (${values.join(', ')})`);
      try {
        for (const row of load.rows)
          insert.run(Object.fromEntries(row.map((value, i) => [`c${i}`, cellOf(load.columns[i]!.type, value)])));
      } catch (error) {
        session.transaction.settle(false);
        throw toSqlError(error);
      }
      if (table.kind === 'user') session.transaction.settle(true);
      return load.rows.length;
    };
  }

  reset(): void {
    this.#session.reset();
  }

  close(): void {
    this.#session.close();
  }
}
