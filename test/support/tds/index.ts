/**
 * The TDS test server: what its statements, and the tests above them, use of it.
 *
 *     const server = await tdsServer({ open: session => new Statements(session), tls, packetBytes: 1 });
 *     server.fault({ on: ({ kind }) => kind === 'commit', breaks: { at: 0, by: 'reset' } });
 *
 * A handler answers so, and returns or throws a SqlError:
 *
 *     answer.columns([{ name: 'id', type: 'bigint' }, { name: 'name', type: 'nvarchar(50)' }]);
 *     for (const { id, name } of found) await answer.row([id, name]);
 *     answer.done();
 */
import { onTestFinished } from 'vitest';
import { TdsServer, type TdsServerOptions } from './server.ts';

export type { Answer, ColumnSpec } from './answer.ts';
export type { BulkRows, BulkTarget } from './bulk.ts';
export { errors, SqlError, type SqlErrorOptions } from './errors.ts';
export type { Fault, FaultWatch, Seen } from './faults.ts';
export type { Handler, Query, Session } from './handler.ts';
export type { Login } from './login.ts';
export type { Call, IsolationLevel, Param } from './requests.ts';
export { type OpenConnection, TdsServer, type TdsServerOptions } from './server.ts';
export { type SqlType, type SqlValue, sqlType } from './types.ts';

/** A server until the test ends. */
export async function tdsServer(options: TdsServerOptions): Promise<TdsServer> {
  const server = new TdsServer(options);
  onTestFinished(() => server.close());
  return server.listen();
}
