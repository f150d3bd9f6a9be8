/** tedious as promises, for tests of the server by the client that keymill uses. */
import { type EventEmitter, once } from 'node:events';
import { Connection, type ConnectionConfiguration, Request, type TYPES } from 'tedious';
import { onTestFinished } from 'vitest';
import type { Login } from './login.ts';
import type { TdsServer } from './server.ts';

type ConnectionOptions = NonNullable<ConnectionConfiguration['options']>;
type DataType = (typeof TYPES)[keyof typeof TYPES];

export interface ClientOptions extends ConnectionOptions, Partial<Pick<Login, 'user' | 'password'>> {
  /** Its name for the server, which a certificate must have. */
  readonly name?: string;
}

export interface ClientParam {
  readonly type: DataType;
  readonly value: unknown;
  readonly options?: { readonly length?: number; readonly precision?: number; readonly scale?: number };
  readonly isOutput?: boolean;
}

export interface Outcome {
  /** Of all result sets, in order. */
  readonly rows: readonly (readonly unknown[])[];
  readonly columns: readonly (readonly string[])[];
  /** As the callback has it: the sum of all. */
  readonly count: number;
  /** Of each DONE of a statement. */
  readonly counts: readonly (number | undefined)[];
  /** Of each DONE of a statement: whether it said that more comes. */
  readonly mores: readonly boolean[];
  readonly outputs: Readonly<Record<string, unknown>>;
  readonly status: number | undefined;
}

/** What makes a request leave: `execSql` unless said. */
export type Sending = (connection: Connection, request: Request) => void;

const bySql: Sending = (connection, request) => connection.execSql(request);
export const asBatch: Sending = (connection, request) => connection.execSqlBatch(request);
export const asCall: Sending = (connection, request) => connection.callProcedure(request);

export class Client {
  readonly connection: Connection;
  /** Numbers of the messages that were no errors. */
  readonly infos: number[] = [];
  /** Changes of the session that the server told, by tedious' names. */
  readonly events: string[] = [];

  constructor(
    server: Pick<TdsServer, 'host' | 'port'>,
    { user = 'sa', password = 'secret', name, ...options }: ClientOptions,
  ) {
    this.connection = new Connection({
      server: name ?? server.host,
      authentication: { type: 'default', options: { userName: user, password } },
      options: { port: server.port, encrypt: false, connectTimeout: 10_000, requestTimeout: 15_000, ...options },
    });
    this.connection.on('infoMessage', info => this.infos.push(info.number));
    this.connection.on('error', () => undefined);
    const told: EventEmitter = this.connection;
    for (const event of ['databaseChange', 'rollbackTransaction', 'resetConnection'])
      told.on(event, () => this.events.push(event));
  }

  async connect(): Promise<this> {
    await new Promise<void>((resolve, reject) => {
      this.connection.connect(error => (error ? reject(error) : resolve()));
    });
    return this;
  }

  ask(sql: string, params: Readonly<Record<string, ClientParam>> = {}, send: Sending = bySql): Promise<Outcome> {
    return this.start(sql, params, send).outcome;
  }

  /** For tests that pause, cancel, or look at the rows as they come. */
  start(
    sql: string,
    params: Readonly<Record<string, ClientParam>> = {},
    send: Sending = bySql,
  ): { readonly request: Request; readonly outcome: Promise<Outcome> } {
    const rows: unknown[][] = [];
    const columns: string[][] = [];
    const counts: (number | undefined)[] = [];
    const mores: boolean[] = [];
    const outputs: Record<string, unknown> = {};
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    let status: number | undefined;
    const request = new Request(sql, (error, count) =>
      error ? reject(error) : resolve({ rows, columns, count: count!, counts, mores, outputs, status }),
    );
    for (const [param, { type, value, options, isOutput }] of Object.entries(params))
      if (isOutput) request.addOutputParameter(param, type, value, options);
      else request.addParameter(param, type, value, options);
    request.on('columnMetadata', all => columns.push((all as { colName: string }[]).map(column => column.colName)));
    request.on('row', (row: { value: unknown }[]) => rows.push(row.map(column => column.value)));
    request.on('returnValue', (param: string, value: unknown) => {
      outputs[param] = value;
    });
    const finished = (count: number | undefined, more: boolean): void => {
      counts.push(count);
      mores.push(more);
    };
    request.on('done', finished);
    request.on('doneInProc', finished);
    request.on('doneProc', (_count, _more, returned) => {
      status = returned;
    });
    send(this.connection, request);
    return { request, outcome: promise };
  }

  /** `isolation`: a number of tedious' ISOLATION_LEVEL. */
  begin(isolation?: number): Promise<void> {
    return done(callback => this.connection.beginTransaction(callback, '', isolation));
  }

  commit(): Promise<void> {
    return done(callback => this.connection.commitTransaction(callback));
  }

  rollback(name?: string): Promise<void> {
    return done(callback => this.connection.rollbackTransaction(callback, name));
  }

  save(name: string): Promise<void> {
    return done(callback => this.connection.saveTransaction(callback, name));
  }

  reset(): Promise<void> {
    return done(callback => this.connection.reset(callback));
  }

  async close(): Promise<void> {
    if (this.connection.closed) return;
    const ended = once(this.connection, 'end');
    this.connection.close();
    await ended;
  }
}

/** A client until the test ends. */
export async function tdsClient(
  server: Pick<TdsServer, 'host' | 'port'>,
  options: ClientOptions = {},
): Promise<Client> {
  const client = new Client(server, options);
  onTestFinished(() => client.connection.close());
  return client.connect();
}

function done(act: (callback: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => act(error => (error ? reject(error) : resolve())));
}
