/** What tedious is told. */
import { isIP } from 'node:net';
import type { ConnectionConfiguration } from 'tedious';
import type { ConnectOptions } from './server-options.ts';

/** Reads the password. Throws CONFIG_INVALID. */
export function configOf(options: ConnectOptions): ConnectionConfiguration {
  const { address, user, tls, connectMs, cancelMs, applicationName, readOnlyIntent } = options;
  const { host, port, instance, database } = address;
  // An address is no name that a certificate could be sent for.
  const serverName = tls.serverName ?? (isIP(host) === 0 ? host : undefined);
  return {
    server: host,
    authentication: { type: 'default', options: { userName: user, password: options.password() } },
    options: {
      ...(port === null ? { instanceName: instance ?? '' } : { port }),
      database,
      fallbackToDefaultDb: false,
      encrypt: tls.mode === 'off' ? false : tls.mode === 'on' ? true : 'strict',
      trustServerCertificate: !tls.checks,
      ...(serverName === undefined ? {} : { serverName }),
      ...(tls.ca === undefined ? {} : { cryptoCredentialsDetails: { ca: tls.ca } }),
      connectTimeout: connectMs,
      // Kept by the connection itself.
      requestTimeout: 0,
      cancelTimeout: cancelMs,
      // Whoever asked tries again, and knows what may be done twice.
      maxRetriesOnTransientErrors: 0,
      appName: applicationName,
      readOnlyIntent,
      // What fails in a transaction ends it: nothing half done is committed.
      abortTransactionOnError: true,
      useUTC: true,
      packetSize: 32_767,
    },
  };
}
