/** The tables that keymill keeps in the database: made when they are first needed, where that is allowed. */
import { asError, isKeymillError, KeymillError, type Log } from '../../../runtime/index.ts';
import { numberOf } from './errors.ts';
import type { Pool } from './pool.ts';
import { ensureCommand, type OwnTable } from './statements/own.ts';

/** Made by another at the same moment. */
const EXISTS = 2714;
const NO_OBJECT = 208;

export class OwnTables {
  readonly #pool: Pool;
  readonly #schema: string;
  readonly #log: Log;
  readonly #there = new Set<OwnTable>();
  readonly #refused = new Map<OwnTable, KeymillError>();

  constructor(pool: Pool, schema: string, log: Log) {
    this.#pool = pool;
    this.#schema = schema;
    this.#log = log;
  }

  /** Throws STORE_READ_ONLY where it is not there and may not be made, SQL_UNAVAILABLE. */
  async need(table: OwnTable, signal?: AbortSignal): Promise<void> {
    if (this.#there.has(table)) return;
    const refused = this.#refused.get(table);
    if (refused) throw refused;
    try {
      await this.#pool.use(connection => connection.run(ensureCommand(this.#schema, table), { signal }), signal);
    } catch (error) {
      if (numberOf(error) === EXISTS) return void this.#there.add(table);
      if (!isKeymillError(error, 'ACCESS_REFUSED') && !isKeymillError(error, 'STORE_READ_ONLY')) throw error;
      const readOnly = new KeymillError(
        'STORE_READ_ONLY',
        `${this.#schema}.${table} is not there and may not be made (${asError(error).message}); make it, or GRANT CREATE TABLE and ALTER on the schema`,
        { cause: error, place: { at: table } },
      );
      this.#refused.set(table, readOnly);
      throw readOnly;
    }
    this.#there.add(table);
  }

  /** False where it is not to be had; told once. */
  async want(table: OwnTable, signal?: AbortSignal): Promise<boolean> {
    const wasRefused = this.#refused.has(table);
    try {
      await this.need(table, signal);
      return true;
    } catch (error) {
      if (!isKeymillError(error, 'STORE_READ_ONLY')) throw error;
      if (!wasRefused)
        this.#log.warn(
          { table, err: error.message },
          'a write whose answer is lost may be made twice: there is no table to tell',
        );
      return false;
    }
  }

  /** What to say of an error that comes of one having been dropped; null for others. It is made again with the next use. */
  isGone(error: KeymillError): KeymillError | null {
    if (numberOf(error) !== NO_OBJECT || !error.message.includes('keymill_')) return null;
    this.#there.clear();
    return new KeymillError('SQL_UNAVAILABLE', `a table of keymill's was dropped: ${error.message}`, {
      cause: error,
      place: error.place,
    });
  }
}
