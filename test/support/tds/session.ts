/** What the server keeps for one connection between its requests. */
import type { Transactions } from './answer.ts';
import type { Session } from './handler.ts';
import type { Login } from './login.ts';

export interface Prepared {
  readonly sql: string;
  readonly declaration: string;
}

export class SessionState implements Session, Transactions {
  readonly spid: number;
  readonly login: Login;
  readonly isEncrypted: boolean;
  readonly prepared = new Map<number, Prepared>();
  #database: string;
  #transaction = 0n;
  #handles = 0;
  readonly #nextTransaction: () => bigint;

  constructor(spid: number, login: Login, isEncrypted: boolean, nextTransaction: () => bigint) {
    this.spid = spid;
    this.login = login;
    this.isEncrypted = isEncrypted;
    this.#database = this.firstDatabase;
    this.#nextTransaction = nextTransaction;
  }

  get firstDatabase(): string {
    return this.login.database || 'master';
  }

  get database(): string {
    return this.#database;
  }

  get transaction(): bigint {
    return this.#transaction;
  }

  begun(): bigint {
    if (this.#transaction !== 0n) throw new Error('a transaction within another: keymill begins none');
    this.#transaction = this.#nextTransaction();
    return this.#transaction;
  }

  ended(): bigint {
    const was = this.#transaction;
    if (was === 0n) throw new Error('no transaction to end');
    this.#transaction = 0n;
    return was;
  }

  uses(database: string): string {
    const before = this.#database;
    this.#database = database;
    return before;
  }

  prepare(prepared: Prepared): number {
    this.prepared.set(++this.#handles, prepared);
    return this.#handles;
  }

  /** Prepared statements outlive no reset. */
  reset(keepsTransaction: boolean): void {
    if (!keepsTransaction) this.#transaction = 0n;
    this.#database = this.firstDatabase;
    this.prepared.clear();
  }
}
