/** Errors as SQL Server sends them, and those that its protocol part raises by itself. */

export interface SqlErrorOptions {
  /** Severity: 11 to 16 are the caller's, 17 to 19 the server's, from 20 on the connection is closed. 16 */
  readonly class?: number;
  /** 1 */
  readonly state?: number;
  /** Of the batch; 1. */
  readonly line?: number;
  /** Name of the procedure it was raised in; empty. */
  readonly procedure?: string;
  /** The transaction ends with it, as with a deadlock or under XACT_ABORT: the handler's `rollback` is called, and the client told. */
  readonly rollsBack?: boolean;
}

/** What a handler throws to answer with one error. */
export class SqlError extends Error {
  override readonly name = 'SqlError';
  readonly number: number;
  readonly class: number;
  readonly state: number;
  readonly line: number;
  readonly procedure: string;
  readonly rollsBack: boolean;

  constructor(number: number, message: string, options: SqlErrorOptions = {}) {
    super(message);
    this.number = number;
    this.class = options.class ?? 16;
    this.state = options.state ?? 1;
    this.line = options.line ?? 1;
    this.procedure = options.procedure ?? '';
    this.rollsBack = options.rollsBack ?? false;
  }

  /** The connection does not outlive it. */
  get isFatal(): boolean {
    return this.class >= 20;
  }
}

/** Numbers, classes and states are SQL Server's; clients decide by these, not by the texts. */
export const errors = {
  loginFailed: (user: string): SqlError => new SqlError(18456, `Login failed for user '${user}'.`, { class: 14 }),
  databaseRefused: (name: string): SqlError =>
    new SqlError(4060, `Cannot open database "${name}" requested by the login. The login failed.`, { class: 11 }),
  unavailable: (name: string): SqlError =>
    new SqlError(40613, `Database '${name}' is not currently available. Please retry the connection later.`, {
      class: 17,
    }),
  throttled: (): SqlError =>
    new SqlError(40501, 'The service is currently busy. Retry the request after 10 seconds.', { class: 20 }),
  deadlock: (spid: number): SqlError =>
    new SqlError(1205, `Transaction (Process ID ${spid}) was deadlocked on lock resources. Rerun the transaction.`, {
      class: 13,
      state: 51,
      rollsBack: true,
    }),
  badStream: (what: string): SqlError =>
    new SqlError(4002, `The incoming tabular data stream (TDS) protocol stream is incorrect: ${what}`),
  badDescriptor: (): SqlError =>
    new SqlError(3989, 'New request is not allowed to start because it should come with valid transaction descriptor.'),
  noHandle: (handle: number): SqlError =>
    new SqlError(8179, `Could not find prepared statement with handle ${handle}.`),
  nothingToCommit: (): SqlError =>
    new SqlError(3902, 'The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.'),
  nothingToRollBack: (): SqlError =>
    new SqlError(3903, 'The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.'),
  noBulkData: (): SqlError =>
    new SqlError(4022, 'Bulk load data was expected but not sent. The batch will be terminated.'),
  /** Not SQL Server's: what this server cannot do, or what a handler threw by mistake. */
  refused: (what: string): SqlError => new SqlError(50_000, `the test server: ${what}`, { class: 18 }),
} as const;
