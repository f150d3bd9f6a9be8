/** What a sync run left behind, looked at by code that shares none with it: the database files, and every message of the topic. */

import { createHash } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import type { Answer } from './cli.ts';

interface Contents {
  readonly rows: number;
  readonly checksum: string;
}

/** What examples/sync says at its end. */
export interface SyncAnswer extends Answer {
  readonly lag: { readonly p50: number; readonly p99: number };
  readonly table: Contents;
  readonly cache: Contents;
  readonly replica: Contents;
  readonly topic: { readonly messages: number };
}

export interface TopicMessage {
  readonly tableName: string;
  readonly recordId: string;
  readonly operation: string;
  readonly epoch: number;
  readonly changeVersion: number;
  readonly delta: Record<string, unknown> | null;
}

export interface Verdict {
  readonly faults: string[];
  readonly repeats: number;
  readonly messages: number;
}

type Rows = Map<string, string>;

const KEYS: Readonly<Record<string, string>> = { Airports: 'code', Flights: 'id' };

export function rowsIn(path: string): Rows {
  const db = new DatabaseSync(path, { readOnly: true });
  const tables = Object.keys(KEYS).map(table => [table, db.prepare(`SELECT * FROM ${table}`).all()] as const);
  db.close();
  return rowsOf(Object.fromEntries(tables));
}

/** Rows by table. */
export function rowsOf(tables: Readonly<Record<string, readonly Record<string, unknown>[]>>): Rows {
  const rows: Rows = new Map();
  for (const [table, its] of Object.entries(tables))
    for (const row of its) rows.set(`${table}/${String(row[KEYS[table]!])}`, textOf(row));
  return rows;
}

function textOf(row: Record<string, unknown>): string {
  return JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function sumOf(rows: Rows): string {
  const hash = createHash('sha256');
  for (const [name, row] of [...rows].sort(([a], [b]) => (a < b ? -1 : 1))) hash.update(`${name} ${row}\n`);
  return hash.digest('hex');
}

/** Versions of a row must rise but for repeats of one that came before; the last message of each must be what the table holds. */
export function judgeTopic(messages: readonly TopicMessage[], table: Rows): Verdict {
  const faults: string[] = [];
  const last = new Map<string, TopicMessage>();
  const seen = new Set<string>();
  let repeats = 0;
  for (const message of messages) {
    const name = `${message.tableName}/${message.recordId}`;
    const id = `${name} ${message.epoch}.${message.changeVersion}`;
    const before = last.get(name);
    if (seen.has(id)) {
      repeats++;
      continue;
    }
    seen.add(id);
    const isNewer =
      !before ||
      message.epoch > before.epoch ||
      (message.epoch === before.epoch && message.changeVersion > before.changeVersion);
    if (isNewer) last.set(name, message);
    else faults.push(`${id} came after ${before.epoch}.${before.changeVersion}`);
  }
  for (const [name, { delta }] of last) {
    const row = table.get(name);
    if (delta === null ? row !== undefined : row !== textOf(delta))
      faults.push(`the last message of ${name} is ${JSON.stringify(delta)}, the table holds ${row}`);
  }
  for (const name of table.keys()) if (!last.has(name)) faults.push(`${name} was never published`);
  return { faults, repeats, messages: messages.length };
}
