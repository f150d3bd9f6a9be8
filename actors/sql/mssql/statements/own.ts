/** The tables that keymill keeps in the database, and what is asked of them. */
import { type Command, command } from '../command.ts';
import { BATCH_WAS_DONE } from '../errors.ts';
import { literal, quote } from '../names.ts';

/** Longest key of a row as text: with the name of its table it is all that an index takes (1700 bytes). */
export const LONGEST_KEY = 550;

/** Texts are compared by their code units, whatever the database's collation is. */
const EXACT = 'COLLATE Latin1_General_100_BIN2';

const TABLES = {
  /** Up to where a consumer has read a table. */
  keymill_bookmarks: `consumer nvarchar(200) ${EXACT} NOT NULL,
  name nvarchar(261) ${EXACT} NOT NULL,
  version bigint NOT NULL,
  epoch bigint NOT NULL,
  PRIMARY KEY NONCLUSTERED (consumer, name)`,
  /** The version that each row of a replica was last written by. */
  keymill_versions: `name nvarchar(261) ${EXACT} NOT NULL,
  pk nvarchar(${LONGEST_KEY}) ${EXACT} NOT NULL,
  epoch bigint NOT NULL,
  n bigint NOT NULL,
  gone bit NOT NULL,
  PRIMARY KEY NONCLUSTERED (name, pk)`,
  /** The last batch of each writer that was committed, so that one whose answer was lost is not done twice. */
  keymill_done: `writer uniqueidentifier NOT NULL PRIMARY KEY,
  batch bigint NOT NULL,
  reply nvarchar(4000) NULL,
  at datetime2(3) NOT NULL`,
  /** Which version stands for which LSN, for each reader of a captured table. */
  keymill_captured: `consumer nvarchar(200) ${EXACT} NOT NULL,
  name nvarchar(261) ${EXACT} NOT NULL,
  version bigint NOT NULL,
  lsn binary(10) NOT NULL,
  at datetime2(3) NOT NULL,
  PRIMARY KEY NONCLUSTERED (consumer, name, version)`,
  /** Who reads a table, until when, and the mark of how far. `token` is the highest that was seen. */
  keymill_leaders: `name nvarchar(500) ${EXACT} NOT NULL PRIMARY KEY NONCLUSTERED,
  owner nvarchar(200) ${EXACT} NOT NULL,
  token bigint NOT NULL,
  ends_at datetime2(3) NOT NULL,
  mark nvarchar(1000) NULL`,
} as const;

export type OwnTable = keyof typeof TABLES;
export const OWN_TABLES = Object.keys(TABLES) as OwnTable[];

export function ownTable(schema: string, name: OwnTable): string {
  return `${quote(schema)}.${quote(name)}`;
}

/** Makes it where it is missing. */
export function ensureCommand(schema: string, name: OwnTable): Command {
  const table = ownTable(schema, name);
  return command(
    `ensure-${name.slice('keymill_'.length)}`,
    `IF OBJECT_ID(${literal(table)}, N'U') IS NULL
CREATE TABLE ${table} (
  ${TABLES[name]}
);`,
  );
}

export function bookmarkCommand(schema: string, consumer: string, name: string): Command {
  return command(
    'bookmark',
    `SELECT b.version, b.epoch
FROM ${ownTable(schema, 'keymill_bookmarks')} AS b
WHERE b.consumer = @kmConsumer AND b.name = @kmName;`,
    [
      { name: 'kmConsumer', kind: 'text', value: consumer },
      { name: 'kmName', kind: 'text', value: name },
    ],
  );
}

export function setBookmarkCommand(
  schema: string,
  { consumer, name, version, epoch }: { consumer: string; name: string; version: number; epoch: number },
): Command {
  const table = ownTable(schema, 'keymill_bookmarks');
  return command(
    'set-bookmark',
    `SET NOCOUNT ON;
SET XACT_ABORT ON;
BEGIN TRANSACTION;
UPDATE b
SET b.version = @kmVersion, b.epoch = @kmEpoch
FROM ${table} AS b WITH (UPDLOCK, HOLDLOCK)
WHERE b.consumer = @kmConsumer AND b.name = @kmName;
IF @@ROWCOUNT = 0
INSERT INTO ${table} (consumer, name, version, epoch)
VALUES (@kmConsumer, @kmName, @kmVersion, @kmEpoch);
COMMIT TRANSACTION;`,
    [
      { name: 'kmConsumer', kind: 'text', value: consumer },
      { name: 'kmName', kind: 'text', value: name },
      { name: 'kmVersion', kind: 'bigint', value: version },
      { name: 'kmEpoch', kind: 'bigint', value: epoch },
    ],
  );
}

/** Enters a writer, and forgets those that have written nothing for 30 days. */
export function enterWriterCommand(schema: string, writer: string): Command {
  const table = ownTable(schema, 'keymill_done');
  return command(
    'enter-writer',
    `SET NOCOUNT ON;
INSERT INTO ${table} (writer, batch, reply, at)
SELECT CONVERT(uniqueidentifier, @kmWriter), 0, NULL, SYSUTCDATETIME()
WHERE NOT EXISTS (
  SELECT 1 FROM ${table} AS d WITH (UPDLOCK, HOLDLOCK) WHERE d.writer = CONVERT(uniqueidentifier, @kmWriter)
);
DELETE TOP (100) d
FROM ${table} AS d WITH (READPAST)
WHERE d.at < DATEADD(DAY, -30, SYSUTCDATETIME());`,
    [{ name: 'kmWriter', kind: 'text', value: writer }],
  );
}

/** The last batch of a writer that was committed. Waits for one that is being committed. */
export function doneCommand(schema: string, writer: string): Command {
  return command(
    'done',
    `SELECT d.batch, d.reply
FROM ${ownTable(schema, 'keymill_done')} AS d WITH (READCOMMITTEDLOCK)
WHERE d.writer = CONVERT(uniqueidentifier, @kmWriter);`,
    [{ name: 'kmWriter', kind: 'text', value: writer }],
  );
}

/**
 * First in a transaction that must not be made twice: takes its number. The same number again, from an attempt that was held
 * up somewhere or is made again, ends that transaction.
 */
export function takingNumber(schema: string): string {
  return `UPDATE ${ownTable(schema, 'keymill_done')}
SET batch = @kmBatch, reply = NULL, at = SYSUTCDATETIME()
WHERE writer = CONVERT(uniqueidentifier, @kmWriter) AND batch < @kmBatch;
IF @@ROWCOUNT = 0 THROW ${BATCH_WAS_DONE}, N'keymill: this batch was done before', 1;
`;
}

export function olderThanCommand(
  schema: string,
  { name, epoch, after, limit }: { name: string; epoch: number; after: string; limit: number },
): Command {
  return command(
    'older-than',
    `SELECT TOP (@kmLimit) v.pk
FROM ${ownTable(schema, 'keymill_versions')} AS v
WHERE v.name = @kmName AND v.gone = 0 AND v.epoch < @kmEpoch AND v.pk > @kmAfter
ORDER BY v.pk;`,
    [
      { name: 'kmName', kind: 'text', value: name },
      { name: 'kmEpoch', kind: 'bigint', value: epoch },
      { name: 'kmAfter', kind: 'text', value: after },
      { name: 'kmLimit', kind: 'bigint', value: limit },
    ],
  );
}

/** The LSN of a version; of the last one for null. Answers version, lsn. */
export function pointCommand(
  schema: string,
  { consumer, name, version }: { consumer: string; name: string; version: number | null },
): Command {
  return command(
    'point',
    `SELECT TOP (1) p.version, p.lsn
FROM ${ownTable(schema, 'keymill_captured')} AS p
WHERE p.consumer = @kmConsumer AND p.name = @kmName AND (@kmVersion IS NULL OR p.version = @kmVersion)
ORDER BY p.version DESC;`,
    [
      { name: 'kmConsumer', kind: 'text', value: consumer },
      { name: 'kmName', kind: 'text', value: name },
      { name: 'kmVersion', kind: 'bigint', value: version },
    ],
  );
}

export interface Point {
  readonly consumer: string;
  readonly name: string;
  readonly version: number;
  readonly lsn: Uint8Array;
}

/** Keeps the LSN of a version, and forgets those that no checkpoint can still be at. */
export function setPointCommand(schema: string, { consumer, name, version, lsn }: Point): Command {
  const table = ownTable(schema, 'keymill_captured');
  return command(
    'set-point',
    `SET NOCOUNT ON;
SET XACT_ABORT ON;
BEGIN TRANSACTION;
UPDATE p
SET p.lsn = CONVERT(binary(10), @kmLsn), p.at = SYSUTCDATETIME()
FROM ${table} AS p WITH (UPDLOCK, HOLDLOCK)
WHERE p.consumer = @kmConsumer AND p.name = @kmName AND p.version = @kmVersion;
IF @@ROWCOUNT = 0
INSERT INTO ${table} (consumer, name, version, lsn, at)
VALUES (@kmConsumer, @kmName, @kmVersion, CONVERT(binary(10), @kmLsn), SYSUTCDATETIME());
DELETE TOP (100) p
FROM ${table} AS p
WHERE p.consumer = @kmConsumer AND p.name = @kmName AND p.version < @kmVersion
  AND p.at < DATEADD(HOUR, -1, SYSUTCDATETIME());
COMMIT TRANSACTION;`,
    [
      { name: 'kmConsumer', kind: 'text', value: consumer },
      { name: 'kmName', kind: 'text', value: name },
      { name: 'kmVersion', kind: 'bigint', value: version },
      { name: 'kmLsn', kind: 'bytes', value: lsn },
    ],
  );
}
