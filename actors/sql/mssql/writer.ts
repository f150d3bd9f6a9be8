/**
 * Does the writes of a drain, in order. Each group is one call to the server and one transaction; when it fails for what is in
 * it, its asks are made one by one, and what fails, fails alone. When it fails for what may heal, what comes after it is not
 * begun, so that the order holds when all of it is asked for again.
 *
 * Inserts and transactions take a number (see own.ts): if their answer is lost, the next attempt finds out whether they were
 * done. The same asks come again as the same objects, as the engine retries them; asks that are made anew after their thread
 * died are new ones, and must bear being made twice, as everywhere.
 */
import { type IoReply, KeymillError, type Log } from '../../../runtime/index.ts';
import type { DeltaOutcome, Statement, TrackOptions } from '../contract.ts';
import type { WriteOp } from '../ops.ts';
import type { Command } from './command.ts';
import type { Answer, Connection } from './connection.ts';
import { BATCH_WAS_DONE, endsDrain, isUnsure, mssqlError, numberOf } from './errors.ts';
import { type ApplyOp, deltaSetsOf, groupsOf, type RowsOp, rowSetOf, type TransactionOp } from './groups.ts';
import type { MssqlMeters } from './meters.ts';
import type { Table } from './names.ts';
import { type Attempt, Numbering } from './numbering.ts';
import type { OwnTables } from './own-tables.ts';
import type { Pool } from './pool.ts';
import type { Schema } from './schema.ts';
import { doneCommand, enterWriterCommand } from './statements/own.ts';
import { type Road, type RowSet, stageColumns, stageCommand, tableOf } from './statements/rows.ts';
import {
  applyCommand,
  insertCommand,
  type Once,
  OUTCOMES,
  removeCommand,
  transactionCommand,
  upsertCommand,
  type WriteHow,
} from './statements/writes.ts';

export interface WriterNeeds {
  readonly pool: Pool;
  readonly schema: Schema;
  readonly own: OwnTables;
  readonly ownSchema: string;
  readonly at: string;
  readonly log: Log;
  readonly meters: MssqlMeters;
  /** A random uuid. */
  readonly id: () => string;
  /** Whether rows may travel as JSON. */
  readonly takesJson: () => Promise<boolean>;
  readonly track: (table: string, options: TrackOptions | null, signal: AbortSignal) => Promise<void>;
}

/** From so many rows on, a bulk load is worth its round trips. */
const BULK_ROWS = 5000;
/** Contexts are varbinary(128). */
const CONTEXT_BYTES = 128;
const TAKES_CONTEXT = /^\s*(INSERT|UPDATE|DELETE|MERGE)\b/i;
/** Messages after which the table is looked at anew, and the write made once more if it has changed. */
const OF_SCHEMA = new Set(['SQL_IDENTIFIER', 'TABLE_UNKNOWN']);

interface Call {
  readonly command: Command;
  /** To be staged first. */
  readonly bulk: readonly RowSet[];
  reply(answer: Answer): unknown[];
  /** Of a call that was done, and whose answer was lost. */
  replyKept(reply: string | null): unknown[];
}

export class Writer {
  readonly #needs: WriterNeeds;
  readonly #numbering: Numbering;

  constructor(needs: WriterNeeds) {
    this.#needs = needs;
    this.#numbering = new Numbering(needs.id);
  }

  /** One reply per write, in order. */
  async write(ops: readonly WriteOp[], signal: AbortSignal): Promise<IoReply[]> {
    const replies = new Map<WriteOp, IoReply>();
    let failed: unknown;
    for (const { ops: group } of groupsOf(ops, op => this.#numbering.of(op))) {
      if (failed !== undefined) break;
      failed = await this.#group(group, replies, signal);
    }
    return ops.map(op => replies.get(op) ?? { error: failed });
  }

  /** Undefined, or an error that ends the drain. */
  async #group(ops: readonly WriteOp[], replies: Map<WriteOp, IoReply>, signal: AbortSignal): Promise<unknown> {
    try {
      const values = await this.#do(ops, signal);
      ops.forEach((op, i) => replies.set(op, { value: values[i] }));
      return undefined;
    } catch (thrown) {
      const error = mssqlError(thrown, this.#needs.at);
      if (ops.length === 1 || endsDrain(error) || !isOfOne(error, ops)) {
        for (const op of ops) replies.set(op, { error });
        return endsDrain(error) ? error : undefined;
      }
    }
    for (const op of ops) {
      const failed = await this.#group([op], replies, signal);
      if (failed !== undefined) return failed;
    }
    return undefined;
  }

  async #do(ops: readonly WriteOp[], signal: AbortSignal): Promise<unknown[]> {
    const [first] = ops as readonly [WriteOp];
    if (first.op === 'track' || first.op === 'untrack') {
      await this.#needs.track(first.table, first.op === 'track' ? first.options : null, signal);
      return [undefined];
    }
    if (first.op === 'transaction') return this.#transactions(ops as readonly TransactionOp[], signal);
    const empty = ops.every(op => ('rows' in op ? op.rows.values.length === 0 : (op as ApplyOp).deltas.length === 0));
    const table = await this.#needs.schema.table(first.table);
    if (empty) return ops.map(op => (op.op === 'apply' ? [] : { rows: 0 }));
    try {
      return await this.#onTable(table, ops as readonly (RowsOp | ApplyOp)[], signal);
    } catch (error) {
      if (!(error instanceof KeymillError) || !OF_SCHEMA.has(error.code)) throw error;
      this.#needs.schema.forget(first.table);
      const again = await this.#needs.schema.table(first.table);
      if (again.stamp === table.stamp) throw error;
      return this.#onTable(again, ops as readonly (RowsOp | ApplyOp)[], signal);
    }
  }

  async #onTable(table: Table, ops: readonly (RowsOp | ApplyOp)[], signal: AbortSignal): Promise<unknown[]> {
    const takesJson = await this.#needs.takesJson();
    const [first] = ops as readonly [RowsOp | ApplyOp];
    if (first.op === 'apply') {
      await this.#needs.own.need('keymill_versions', signal);
      return this.#call(applying(this.#needs.ownSchema, table, ops as readonly ApplyOp[], takesJson), signal, null);
    }
    const rows = ops as readonly RowsOp[];
    const set = rowSetOf(table, rows);
    const road: Road = takesJson && set.rows.length < BULK_ROWS ? 'json' : 'bulk';
    const context = contextOf(first.context);
    const make = (once: Once | null): Call => rowsCall(table, rows, set, { road, once, context });
    return first.op === 'insert' ? this.#once(make, ops, signal) : this.#call(make(null), signal, null);
  }

  async #transactions(ops: readonly TransactionOp[], signal: AbortSignal): Promise<unknown[]> {
    const statements = ops.flatMap(op => op.statements);
    if (statements.length === 0) return ops.map(() => []);
    const context = contextOf(ops[0]!.context);
    if (context !== null) mustTakeContext(statements);
    const counts = (reply: string | null): unknown[] => {
      const numbers = (reply ?? '').split(' ').filter(text => text !== '');
      let at = 0;
      return ops.map(op => op.statements.map(() => ({ rows: Number(numbers[at++] ?? 0) })));
    };
    const make = (once: Once | null): Call => ({
      command: transactionCommand(statements, { once, context }),
      bulk: [],
      // The user's own statements may answer as well: ours is the last.
      reply: ({ sets }) => counts(String(sets.at(-1)?.rows[0]?.[0] ?? '')),
      replyKept: counts,
    });
    return this.#once(make, ops, signal);
  }

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Makes the call with a number for these asks, where the database takes one. */
  async #once(make: (once: Once | null) => Call, ops: readonly WriteOp[], signal: AbortSignal): Promise<unknown[]> {
    const { own, ownSchema: schema, pool } = this.#needs;
    if (!(await own.want('keymill_done', signal))) return this.#call(make(null), signal, null);
    const attempt = this.#numbering.take(ops);
    const { writer, number: batch } = attempt;
    let isLost = true;
    try {
      if (!writer.hasEntered) {
        isLost = false;
        await pool.use(connection => connection.run(enterWriterCommand(schema, writer.id), { signal }), signal);
        writer.hasEntered = true;
        isLost = true;
      }
      const call = make({ schema, writer: writer.id, batch });
      const values = await this.#call(call, signal, attempt);
      isLost = false;
      return values;
    } catch (error) {
      // Where an answer came nothing of it stands, and each goes its own way from here.
      isLost &&= isUnsure(mssqlError(error, this.#needs.at));
      throw error;
    } finally {
      if (isLost) this.#numbering.doubt(ops, attempt);
      else this.#numbering.settle(ops, attempt);
    }
  }

  async #call(call: Call, signal: AbortSignal, attempt: Attempt | null): Promise<unknown[]> {
    const { pool, meters } = this.#needs;
    try {
      return call.reply(await pool.use(connection => send(connection, call, meters, signal), signal));
    } catch (thrown) {
      const error = mssqlError(thrown, this.#needs.at);
      if (attempt !== null && numberOf(error) === BATCH_WAS_DONE) return this.#wasDone(call, attempt, error, signal);
      throw this.#needs.own.isGone(error) ?? error;
    }
  }

  /** The number was taken: by an attempt whose answer was lost, unless somebody removed the writer's row. */
  async #wasDone(call: Call, { writer }: Attempt, error: KeymillError, signal: AbortSignal): Promise<unknown[]> {
    const { sets } = await this.#needs.pool.use(
      connection => connection.run(doneCommand(this.#needs.ownSchema, writer.id), { signal }),
      signal,
    );
    const row = sets[0]?.rows[0];
    if (!row) {
      writer.hasEntered = false;
      throw new KeymillError(
        'SQL_UNAVAILABLE',
        `${this.#needs.at}: the row of this writer was removed from keymill_done`,
        {
          cause: error,
          place: { at: this.#needs.at },
        },
      );
    }
    this.#needs.log.info({ server: this.#needs.at }, 'a write whose answer was lost had been done');
    return call.replyKept((row[1] ?? null) as string | null);
  }
}

async function send(
  connection: Connection,
  { command, bulk }: Call,
  meters: MssqlMeters,
  signal: AbortSignal,
): Promise<Answer> {
  if (bulk.length > 0) connection.isDirty = true;
  for (const set of bulk) {
    await connection.run(stageCommand(set), { signal });
    await meters.bulk(set.rows.length, connection.bulk(tableOf(set.index), stageColumns(set), set.rows, signal));
  }
  return connection.run(command, { signal });
}

function rowsCall(table: Table, ops: readonly RowsOp[], set: RowSet, how: WriteHow): Call {
  const [{ op }] = ops as readonly [RowsOp];
  const make = op === 'insert' ? insertCommand : op === 'upsert' ? upsertCommand : removeCommand;
  const all = (): unknown[] => ops.map(one => ({ rows: one.rows.values.length }));
  return {
    command: make(table, set, how),
    bulk: how.road === 'bulk' ? [set] : [],
    reply: ({ sets }) => {
      if (op !== 'remove') return all();
      const found = new Map((sets[0]?.rows ?? []).map(([ask, rows]) => [Number(ask), Number(rows)]));
      return ops.map((_, ask) => ({ rows: found.get(ask) ?? 0 }));
    },
    replyKept: all,
  };
}

function applying(schema: string, table: Table, ops: readonly ApplyOp[], takesJson: boolean): Call {
  const sets = deltaSetsOf(table, ops);
  const road: Road = takesJson ? 'json' : 'bulk';
  const reply = ({ sets: answers }: Answer): unknown[] => {
    const outcomes: DeltaOutcome[] = [];
    for (const [ord, outcome] of answers[0]?.rows ?? []) outcomes[Number(ord)] = OUTCOMES[Number(outcome)]!;
    let at = 0;
    return ops.map(op => outcomes.slice(at, (at += op.deltas.length)));
  };
  return {
    command: applyCommand(schema, table, sets, { road, once: null, context: null }),
    bulk: road === 'bulk' ? sets : [],
    reply,
    replyKept: () => [],
  };
}

/** One ask may be at fault, and the others not: for what is in it, or as it is about another table. */
function isOfOne({ code }: KeymillError, [first]: readonly WriteOp[]): boolean {
  if (first!.op === 'transaction') return true;
  return code === 'SQL_CONSTRAINT' || code === 'SQL_FAILED' || code === 'SQL_TOO_LARGE' || code === 'SQL_IDENTIFIER';
}

/** Throws SQL_TOO_LARGE. */
function contextOf(context: string | undefined): string | null {
  if (context === undefined) return null;
  if (Buffer.byteLength(context) > CONTEXT_BYTES)
    throw new KeymillError('SQL_TOO_LARGE', `a context of more than ${CONTEXT_BYTES} bytes: ${context.slice(0, 40)}…`);
  return context;
}

/** Throws SQL_FAILED. */
function mustTakeContext(statements: readonly Statement[]): void {
  const wrong = statements.find(({ sql }) => !TAKES_CONTEXT.test(sql));
  if (wrong)
    throw new KeymillError(
      'SQL_FAILED',
      `a statement with a context must begin with INSERT, UPDATE, DELETE or MERGE: ${wrong.sql.slice(0, 80)}`,
      { class: 'fatal' },
    );
}
