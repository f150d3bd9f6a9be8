/** The options that a real SQL Server needs; the embedded database does without. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { asError, KeymillError } from '../../../runtime/index.ts';
import { type Address, mustBeAddress } from './address.ts';

const DAY = 86_400_000;
const ms = (min: number) => z.number().int().min(min).max(DAY);

export const serverShape = {
  user: z.string().min(1).optional().meta({ doc: 'mssql: the login, where the url names none.' }),
  password: z.string().min(1).optional().meta({ doc: 'mssql: its password. Better a file.' }),
  passwordFile: z.string().min(1).optional().meta({
    doc: 'mssql: a file with the password, read again for each connection; the last end of line is no part of it.',
  }),
  tls: z
    .strictObject({
      ca: z
        .string()
        .optional()
        .meta({ doc: "PEM file of the authorities that are trusted; Node's own when left out." }),
      serverName: z
        .string()
        .min(1)
        .optional()
        .meta({ doc: 'The name that the certificate must be of. Default: the host.' }),
      strict: z.boolean().default(false).meta({ doc: 'TLS from the first byte (TDS 8.0): SQL Server 2022 and newer.' }),
      trustServerCertificate: z
        .boolean()
        .default(false)
        .meta({ doc: 'Takes any certificate: whoever is in between can read and change all.' }),
      disabled: z.boolean().default(false).meta({ doc: 'No TLS at all: for a server on the same machine.' }),
    })
    .prefault({})
    .meta({
      doc: 'mssql: what is trusted. Connections are encrypted, and certificates checked, unless told otherwise.',
    }),
  pool: z
    .strictObject({
      min: z.number().int().min(0).max(100).default(0).meta({ doc: 'Connections that stay open when idle.' }),
      max: z
        .number()
        .int()
        .min(2)
        .max(1000)
        .default(10)
        .meta({ doc: 'Most connections; no more are made than are needed.' }),
      acquireMs: ms(10).default(15_000).meta({ doc: 'How long one is waited for before SQL_UNAVAILABLE.' }),
      idleMs: ms(100).default(60_000).meta({ doc: 'One that nobody used for so long is closed.' }),
      validateMs: ms(0).default(10_000).meta({ doc: 'One that nobody used for so long is tried before it is used.' }),
    })
    .prefault({})
    .meta({ doc: 'mssql: connections of this I/O actor (G4592: 5 to 100).' }),
  connectMs: ms(100).default(15_000).meta({ doc: 'mssql: how long connecting may take, with TLS and login.' }),
  requestMs: ms(100)
    .default(30_000)
    .meta({ doc: 'mssql: how long the first sign of an answer may take; then the statement is cancelled.' }),
  idleMs: ms(100)
    .default(30_000)
    .meta({ doc: 'mssql: how long an answer may pause between two of its packets; then the statement is cancelled.' }),
  cancelMs: ms(100)
    .default(5000)
    .meta({ doc: 'mssql: how long a cancel may stay unanswered; then the connection is given up.' }),
  maxLifeMs: ms(1000).default(3_600_000).meta({
    doc: 'mssql: a connection as old as this is not used again, so that a new member of a group or a new address is found.',
  }),
  applicationName: z
    .string()
    .min(1)
    .max(100)
    .default('keymill')
    .meta({ doc: 'mssql: the name that the server shows for its sessions.' }),
  readOnlyIntent: z.boolean().default(false).meta({
    doc: 'mssql: connect to a readable secondary. For statements and CDC tables only: Change Tracking is on the primary (22117).',
  }),
  requireSnapshot: z.boolean().default(false).meta({
    doc: 'mssql: refuse to read changes where the database allows no snapshots. Else they are read by the rule for that: nothing is missed, more comes twice.',
  }),
  bookmarks: z.boolean().default(true).meta({
    doc: 'mssql: keep how far was read in `keymill_bookmarks` of the database too, so that a restore is noticed.',
  }),
  ownSchema: z.string().min(1).max(128).default('dbo').meta({
    doc: 'mssql: the schema of the tables that keymill keeps there (keymill_bookmarks, keymill_versions, keymill_done, keymill_captured).',
  }),
} as const;

const options = z.object(serverShape);
type Given = z.output<typeof options> & {
  readonly url: string;
  readonly snapshot: boolean;
  readonly retentionMs: number;
};

export interface ConnectOptions {
  readonly address: Address;
  readonly user: string | undefined;
  /** Read for each connection. Throws CONFIG_INVALID. */
  readonly password: () => string | undefined;
  readonly tls: {
    readonly ca: Buffer | undefined;
    readonly serverName: string | undefined;
    readonly mode: 'off' | 'on' | 'strict';
    readonly checks: boolean;
  };
  readonly connectMs: number;
  readonly requestMs: number;
  readonly idleMs: number;
  readonly cancelMs: number;
  readonly applicationName: string;
  readonly readOnlyIntent: boolean;
}

export interface MssqlOptions {
  readonly connect: ConnectOptions;
  readonly pool: Given['pool'] & { readonly maxLifeMs: number };
  /** False: never. True: where the database allows it. */
  readonly snapshot: boolean;
  readonly requireSnapshot: boolean;
  readonly bookmarks: boolean;
  readonly ownSchema: string;
  readonly retentionMs: number;
}

/** Throws CONFIG_INVALID. No secret is in its message. */
export function mssqlOptionsOf(given: Given, at: string): MssqlOptions {
  const address = mustBeAddress(given.url);
  const { tls, pool, passwordFile, snapshot, requireSnapshot, bookmarks, ownSchema, retentionMs } = given;
  const { connectMs, requestMs, idleMs, cancelMs, applicationName, readOnlyIntent } = given;
  const read = (name: string, path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (cause) {
      throw new KeymillError('CONFIG_INVALID', `${at}.${name}: ${asError(cause).message}`, { cause, place: { at } });
    }
  };
  const password = (): string | undefined =>
    passwordFile === undefined
      ? (given.password ?? address.password ?? undefined)
      : read('passwordFile', passwordFile)
          .toString('utf8')
          .replace(/\r?\n$/, '');
  return {
    connect: {
      address,
      user: given.user ?? address.user ?? undefined,
      password,
      tls: {
        ca: tls.ca === undefined ? undefined : read('tls.ca', tls.ca),
        serverName: tls.serverName,
        mode: tls.disabled ? 'off' : tls.strict ? 'strict' : 'on',
        checks: !tls.trustServerCertificate,
      },
      connectMs,
      requestMs,
      idleMs,
      cancelMs,
      applicationName,
      readOnlyIntent,
    },
    pool: { ...pool, maxLifeMs: given.maxLifeMs },
    snapshot,
    requireSnapshot,
    bookmarks,
    ownSchema,
    retentionMs,
  };
}
