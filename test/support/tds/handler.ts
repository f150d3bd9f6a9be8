/** The seam of the server: what a session asks of whoever knows the statements. */
import type { Answer } from './answer.ts';
import type { BulkRows, BulkTarget } from './bulk.ts';
import type { Login } from './login.ts';
import type { Call, IsolationLevel, Param } from './requests.ts';

export interface Session {
  /** Number of the process, as the server counts sessions. */
  readonly spid: number;
  readonly login: Login;
  readonly isEncrypted: boolean;
  /** The one that it uses. */
  readonly database: string;
  /** The transaction's descriptor; 0 while there is none. */
  readonly transaction: bigint;
}

/** A batch, or the text of sp_executesql, sp_prepexec or sp_execute with its parameters. */
export interface Query {
  readonly sql: string;
  /** By name; empty for a batch. */
  readonly params: readonly Param[];
  /** The types that the text gives them: `@a bigint, @b nvarchar(20)`; empty for a batch. */
  readonly declaration: string;
}

type Later<T> = T | Promise<T>;

/**
 * Of one session. One call at a time; each is answered when it returns. What it throws is the answer's error if it is a SqlError,
 * and else an error of the test server, which the server also keeps in `failures`.
 */
export interface Handler {
  query(query: Query, answer: Answer): Later<void>;
  /** A procedure by its name. Without it there is none (2812). */
  call?(call: Call, answer: Answer): Later<void>;
  /** A null level: as it is in the session. */
  begin(level: IsolationLevel | null, name: string): Later<void>;
  commit(): Later<void>;
  /** Of all, not of a savepoint. Also called when a SqlError rolls back. */
  rollback(): Later<void>;
  /** A savepoint. Without it, and without the next, the request is refused. */
  save?(name: string): Later<void>;
  rollbackTo?(name: string): Later<void>;
  /** Of `insert bulk`: gives what takes the rows and tells how many they were. Without it the text is a query. */
  bulk?(target: BulkTarget): Later<(rows: BulkRows) => Later<number>>;
  /** Makes the session as new: no transaction (`keepsTransaction`: save that one), settings as after a login. */
  reset(keepsTransaction: boolean): Later<void>;
  /** The connection is gone. What a transaction did is to be undone. A call that runs then was told by its answer's signal. */
  close(): void;
}
