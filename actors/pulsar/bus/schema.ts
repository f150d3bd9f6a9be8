/**
 * The file of a bus, format 1: SQLite with a write-ahead log. Messages of all topics are in one table, by ledger and entry: a
 * topic's numbers run on through its ledgers, as Pulsar's do. Acknowledged is what is below `mark`, and the runs in `acked`.
 */

/** Written into the file (`PRAGMA application_id`), so that it is not taken for, or made out of, another database. */
export const APPLICATION_ID = 0x6b6d6275;

export const FORMAT = 1;

/** Entries of one ledger. Ledger × this + entry is a message's row id, and stays below 2^53 for 8 billion ledgers. */
export const LEDGER_ENTRIES = 2 ** 20;

export const SCHEMA = `
  -- partitions: 0 for a topic or a partition, which hold messages; else it is partitioned, and holds none.
  -- Messages first ≤ n < next are kept; bytes is their size, published_at the time of the last.
  CREATE TABLE topic (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL,
    first INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0, published_at INTEGER NOT NULL DEFAULT 0
  );
  -- first: number of its entry 0 in the topic.
  CREATE TABLE ledger (id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, first INTEGER NOT NULL);
  -- size: of payload, key and properties. A tombstone's payload is null and is_null 1: an empty one is bound as null, too.
  CREATE TABLE message (
    id INTEGER PRIMARY KEY, published_at INTEGER NOT NULL, size INTEGER NOT NULL, is_null INTEGER NOT NULL,
    producer TEXT NOT NULL, sequence INTEGER NOT NULL, key TEXT, ordering_key TEXT, properties TEXT,
    event_time REAL, deliver_at REAL, payload BLOB
  );
  -- acked: JSON of gaps and lengths in turn, or null.
  CREATE TABLE subscription (
    id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL,
    mark INTEGER NOT NULL, acked TEXT, UNIQUE (topic, name)
  );
  -- The highest sequence id of each named producer.
  CREATE TABLE producer (
    topic INTEGER NOT NULL, name TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (topic, name)
  ) WITHOUT ROWID;
`;

/** Parameters in the order of their question marks. */
export const STATEMENTS = {
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
  topics: 'SELECT id, name, partitions, first, next, bytes, published_at FROM topic ORDER BY id',
  ledgers: 'SELECT id, topic, first FROM ledger ORDER BY id',
  subscriptions: 'SELECT id, topic, name, type, mark, acked FROM subscription ORDER BY id',
  addTopic: 'INSERT INTO topic (name, partitions) VALUES (?, ?)',
  addLedger: 'INSERT INTO ledger (id, topic, first) VALUES (?, ?, ?)',
  dropLedger: 'DELETE FROM ledger WHERE id = ?',
  saveTopic: 'UPDATE topic SET first = ?, next = ?, bytes = ?, published_at = ? WHERE id = ?',
  addMessage: `INSERT OR REPLACE INTO message
    (id, published_at, size, is_null, producer, sequence, key, ordering_key, properties, event_time, deliver_at, payload)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  messages: `SELECT id, published_at, size, is_null, producer, sequence, key, ordering_key, properties, event_time,
    deliver_at, payload FROM message WHERE id >= ? AND id < ? ORDER BY id LIMIT ?`,
  heads: 'SELECT id, published_at, size FROM message WHERE id >= ? AND id < ? ORDER BY id LIMIT ?',
  dropMessages: 'DELETE FROM message WHERE id >= ? AND id < ?',
  addSubscription: 'INSERT INTO subscription (topic, name, type, mark) VALUES (?, ?, ?, ?)',
  saveType: 'UPDATE subscription SET type = ? WHERE id = ?',
  saveCursor: 'UPDATE subscription SET mark = ?, acked = ? WHERE id = ?',
  dropSubscription: 'DELETE FROM subscription WHERE id = ?',
  sequence: 'SELECT sequence FROM producer WHERE topic = ? AND name = ?',
  saveSequence: `INSERT INTO producer (topic, name, sequence) VALUES (?, ?, ?)
    ON CONFLICT (topic, name) DO UPDATE SET sequence = excluded.sequence`,
} as const;

export type StatementName = keyof typeof STATEMENTS;

export type TopicRow = [
  id: number,
  name: string,
  partitions: number,
  first: number,
  next: number,
  bytes: number,
  publishedAt: number,
];
export type LedgerRow = [id: number, topic: number, first: number];
export type SubscriptionRow = [
  id: number,
  topic: number,
  name: string,
  type: string,
  mark: number,
  acked: string | null,
];
export type HeadRow = [id: number, publishedAt: number, size: number];
export type MessageRow = [
  id: number,
  publishedAt: number,
  size: number,
  isNull: number,
  producer: string,
  sequence: number,
  key: string | null,
  orderingKey: string | null,
  properties: string | null,
  eventTime: number | null,
  deliverAt: number | null,
  payload: Uint8Array | null,
];
