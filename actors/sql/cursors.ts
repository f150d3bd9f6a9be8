/** Row streams that are open for readers in other threads. One that is not asked for its next rows for a while is closed. */
import { type Environment, KeymillError } from '../../runtime/index.ts';
import type { Row } from './contract.ts';
import type { SqlCursor, SqlDriver } from './driver.ts';
import type { CursorOp } from './ops.ts';

interface Open {
  readonly cursor: SqlCursor;
  usedAt: number;
}

export class Cursors {
  readonly #driver: SqlDriver;
  readonly #clock: Environment['clock'];
  readonly #idleMs: number;
  readonly #open = new Map<string, Open>();

  constructor(driver: SqlDriver, clock: Environment['clock'], idleMs: number) {
    this.#driver = driver;
    this.#clock = clock;
    this.#idleMs = idleMs;
  }

  get size(): number {
    return this.#open.size;
  }

  /** The rows of an ask. Throws SQL_CURSOR_LOST. */
  async do(op: CursorOp): Promise<Row[] | undefined> {
    if (op.op === 'close') return this.#close(op.cursor);
    if (op.op === 'open') {
      await this.#close(op.cursor); // the ask was made twice
      const cursor = await this.#driver.open(op.sql, op.params ?? {});
      this.#open.set(op.cursor, { cursor, usedAt: this.#clock.now() });
      this.#watch(op.cursor);
    }
    const open = this.#open.get(op.cursor);
    if (!open) throw new KeymillError('SQL_CURSOR_LOST', 'the row stream is not open any more');
    open.usedAt = this.#clock.now();
    const rows = await open.cursor.next(op.rows);
    if (rows.length < op.rows) await this.#close(op.cursor);
    return rows;
  }

  async close(): Promise<void> {
    for (const cursor of [...this.#open.keys()]) await this.#close(cursor);
  }

  async #close(cursor: string): Promise<undefined> {
    const open = this.#open.get(cursor);
    this.#open.delete(cursor);
    await open?.cursor.close();
  }

  #watch(cursor: string): void {
    this.#clock.after(this.#idleMs, () => {
      const open = this.#open.get(cursor);
      if (!open) return;
      if (this.#clock.now() - open.usedAt >= this.#idleMs) void this.#close(cursor);
      else this.#watch(cursor);
    });
  }
}
