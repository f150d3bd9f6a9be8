/**
 * Two processes on one table, of SQLite or of a SQL Server in a process of its own: the leader is killed, or frozen and woken;
 * the other goes on, and nothing is lost or undone.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, onTestFinished, test } from 'vitest';
import { fixture, keymill, type Running } from '../support/cli.ts';
import { ServedMssql } from '../support/tds/served.ts';
import { tempFolder } from '../support/temp-folder.ts';

const LEASE_MS = 1000;
const KILLS = process.env['KEYMILL_LEADER_KILLS'];
/** By hand: 30, with leases of ten seconds. */
const FROZEN_S = Number(process.env['KEYMILL_LEADER_FROZEN_S'] ?? 0);
/** What a busy machine may take beyond what the lease allows. */
const SLACK_MS = 2500;
const KEYS = 40;

/** Where the table is that replicas read, as another program sees it. */
interface Server {
  /** Of the I/O actor that reads it. */
  readonly settings: readonly string[];
  exec(sql: string): Promise<unknown>;
  /** Puts a row, whether there was one or not. */
  put(k: number, name: string): Promise<unknown>;
  /** Values as text or number. */
  row(sql: string): Promise<unknown[]>;
  /** Does something while no other process holds a lock of the file. */
  unlocked(act: () => void): void;
  close(): Promise<void> | void;
}

const IS = {
  sqlite: 'INTEGER NOT NULL PRIMARY KEY, name TEXT',
  mssql: 'bigint NOT NULL PRIMARY KEY, name nvarchar(50)',
};
type Kind = keyof typeof IS;
/** What is kept there of the source, by its name. */
const BOOKMARKS = { sqlite: 'keymill_ct_bookmarks', mssql: 'keymill_bookmarks' };

function unlocked(db: DatabaseSync, act: () => void): void {
  db.exec('BEGIN IMMEDIATE');
  act();
  db.exec('ROLLBACK');
}

async function sqliteServer(folder: string): Promise<Server> {
  const path = join(folder, 'shop.db');
  const db = new DatabaseSync(path, { timeout: 5000 });
  db.exec('PRAGMA journal_mode = WAL');
  return {
    settings: [`io.shop.url=sqlite:${path}`],
    exec: async sql => db.exec(sql),
    put: async (k, name) => db.exec(`INSERT OR REPLACE INTO t VALUES (${k}, '${name}')`),
    row: async sql => Object.values(db.prepare(sql).get()!),
    unlocked: act => unlocked(db, act),
    close: () => db.close(),
  };
}

async function mssqlServer(folder: string): Promise<Server> {
  const served = await new ServedMssql({ folder: join(folder, 'mssql') }).start();
  return {
    settings: [`io.shop.url=${served.url}`, 'io.shop.tls.disabled=true'],
    exec: sql => served.run(sql),
    put: (k, name) =>
      served.run(`UPDATE t SET name = '${name}' WHERE k = ${k};
        IF @@ROWCOUNT = 0 INSERT INTO t (k, name) VALUES (${k}, '${name}')`),
    row: async sql => [...(await served.run(sql)).sets[0]!.rows[0]!],
    unlocked: act => act(), // a lock there is for one request
    close: () => served.close(),
  };
}

class Shop {
  readonly folder: string;
  readonly #kind: Kind;
  readonly #server: Server;
  readonly #copy: DatabaseSync;
  #timer: NodeJS.Timeout | null = null;
  #n = 0;
  /** The table, as what was asked for has left it. */
  readonly #rows = new Map<number, string>();
  #written: Promise<unknown> = Promise.resolve();

  private constructor(folder: string, kind: Kind, server: Server) {
    this.folder = folder;
    this.#kind = kind;
    this.#server = server;
    this.#copy = new DatabaseSync(join(folder, 'copy.db'), { timeout: 5000 });
    this.#copy.exec('PRAGMA journal_mode = WAL; CREATE TABLE t (k INTEGER NOT NULL PRIMARY KEY, name TEXT)');
    this.#copy.exec('CREATE TABLE noted (pid INTEGER, k INTEGER, epoch INTEGER, n INTEGER, outcome TEXT)');
  }

  static async open(folder: string, kind: Kind): Promise<Shop> {
    const server = await (kind === 'sqlite' ? sqliteServer : mssqlServer)(folder);
    const shop = new Shop(folder, kind, server);
    await server.exec(`CREATE TABLE t (k ${IS[kind]})`);
    for (let k = 0; k < KEYS; k += 2) shop.#set(k, 'begin');
    await shop.#written;
    return shop;
  }

  #set(k: number, name: string): void {
    this.#rows.set(k, name);
    this.#write(this.#server.put(k, name));
  }

  #write(written: Promise<unknown>): void {
    this.#written = Promise.all([this.#written, written]);
    this.#written.catch(() => undefined); // told by whoever waits for it
  }

  /** Changes rows until `stop`, some of them gone and back. */
  feed(): void {
    this.#timer = setInterval(() => {
      const k = (this.#n * 7) % KEYS;
      if (this.#n++ % 5 !== 0) return this.#set(k, `n${this.#n}`);
      this.#rows.delete(k);
      this.#write(this.#server.exec(`DELETE FROM t WHERE k = ${k}`));
    }, 10);
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Between two writes: a lock of SQLite's would be held on while it is frozen, and nobody else could write. */
  freeze(replica: Replica): void {
    this.#server.unlocked(() => unlocked(this.#copy, () => replica.signal('SIGSTOP')));
  }

  run(name: string, settings: readonly string[] = [], env: Record<string, string> = {}): Replica {
    const data = join(this.folder, name);
    const args = ['--data', data, '--log', 'info', '--threads', '1', '--port', '0', ...this.#settings, ...settings];
    return new Replica(
      keymill(['start', fixture('leader.ts'), ...args], { env: { TEST_LEASE_MS: String(LEASE_MS), ...env } }),
    );
  }

  async doctor(): Promise<string> {
    const { stdout, stderr } = await keymill(['doctor', fixture('leader.ts'), ...this.#settings]).ended;
    return stdout + stderr;
  }

  get #settings(): string[] {
    return [...this.#server.settings, `io.copy.url=sqlite:${join(this.folder, 'copy.db')}`].flatMap(one => [
      '--set',
      one,
    ]);
  }

  /** The copy holds what the table does, and the table what was written. */
  async areEqual(timeout = 20_000): Promise<void> {
    await this.#written;
    const wanted = JSON.stringify([...this.#rows].sort(([a], [b]) => a - b).map(([k, name]) => ({ k, name })));
    const copied = (): string => JSON.stringify(this.#copy.prepare('SELECT k, name FROM t ORDER BY k').all());
    await expect.poll(() => copied() === wanted, { timeout }).toBe(true);
    const [count] = await this.#server.row('SELECT count(*) FROM t');
    expect(count).toBe(this.#rows.size);
  }

  noted(where: string): number {
    return Number(this.#copy.prepare(`SELECT count(*) AS n FROM noted WHERE ${where}`).get()!['n']);
  }

  /** Which change of an epoch below this one each row of the copy was last written by. */
  takenBelow(epoch: number): unknown[] {
    return this.#copy.prepare('SELECT pk, epoch, n FROM keymill_versions WHERE epoch < ?').all(epoch);
  }

  async leaderToken(): Promise<number> {
    return Number((await this.#server.row('SELECT token FROM keymill_leaders'))[0]);
  }

  async bookmark(): Promise<{ version: number; epoch: number }> {
    const [version, epoch] = await this.#server.row(`SELECT version, epoch FROM ${BOOKMARKS[this.#kind]}`);
    return { version: Number(version), epoch: Number(epoch) };
  }

  async close(): Promise<void> {
    this.stop();
    await this.#written;
    await this.#server.close();
    this.#copy.close();
  }
}

class Replica {
  readonly running: Running;

  constructor(running: Running) {
    this.running = running;
  }

  get pid(): number {
    return this.running.child.pid!;
  }

  count(text: string): number {
    return this.running.stderr.split(text).length - 1;
  }

  /** Has said it more often than that. */
  async says(text: string, before = 0, timeout = 30_000): Promise<void> {
    const isOver = (): boolean => this.running.child.exitCode !== null || this.count(text) > before;
    await expect.poll(isOver, { timeout, interval: 10 }).toBe(true);
    expect(this.count(text), this.running.stderr).toBeGreaterThan(before);
  }

  async metrics(): Promise<string> {
    await this.says('metrics and health at');
    const [, url] = /metrics and health at[^h]*(http:[^"\s\\]+)/.exec(this.running.stderr) ?? [];
    return (await fetch(`${url}/metrics`)).text();
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }
}

const LEADS = 'this replica leads';
const STANDS_BY = 'stands by: another leads';
const ANEW = 'the table is read anew';

async function shop(kind: Kind = 'sqlite'): Promise<Shop> {
  const made = await Shop.open(await tempFolder('leader'), kind);
  onTestFinished(() => made.close());
  return made;
}

async function stopped(...replicas: Replica[]): Promise<void> {
  for (const one of replicas) one.signal('SIGTERM');
  for (const one of replicas) {
    const { code, stderr } = await one.running.ended;
    expect(code, stderr).toBe(0);
  }
}

describe.each<Kind>(['sqlite', 'mssql'])('two replicas on %s', kind => {
  const kills = Number(KILLS ?? (kind === 'sqlite' ? 3 : 2));
  test(`the leader is killed -9, ${kills} times: the other takes over within the lease, and nothing is lost`, {
    timeout: 60_000 + 20_000 * kills,
  }, async () => {
    const table = await shop(kind);
    let leader = table.run('a');
    await leader.says(LEADS);
    let next = table.run('b');
    await next.says(STANDS_BY);
    const all = [leader, next];
    const isWaiting = /^keymill_source_waiting\{(?=[^}]*source="changes")(?=[^}]*reason="not the leader")[^}]*\} 1$/m;
    expect(await next.metrics()).toMatch(isWaiting);
    expect(await leader.metrics()).not.toMatch(isWaiting);
    let slowest = 0;
    for (let kill = 1; kill <= kills; kill++) {
      table.feed();
      const before = table.noted('true');
      await expect.poll(() => table.noted('true') > before + 20, { timeout: 20_000 }).toBe(true);
      leader.signal('SIGKILL');
      const died = performance.now();
      await next.says(LEADS, next.count(LEADS));
      slowest = Math.max(slowest, performance.now() - died);
      table.stop();
      await table.areEqual();
      leader = next;
      next = table.run(`r${kill}`);
      all.push(next);
      await next.says(STANDS_BY);
    }
    expect(slowest).toBeLessThan(LEASE_MS + LEASE_MS / 3 + SLACK_MS);
    const doctor = await table.doctor();
    expect(doctor).toContain('one replica reads for shop t');
    expect(doctor).toContain(`:${leader.pid}:`);
    await stopped(leader, next);
    expect(all.reduce((sum, one) => sum + one.count(ANEW), 0)).toBe(1);
    await table.areEqual();
  });

  const leaseMs = FROZEN_S > 0 ? 10_000 : LEASE_MS;
  test.each([
    ['', 'real', 'may have run out'],
    [', and its clock with it', 'sleeps', 'another replica has taken over'],
  ])(
    `the leader is frozen for ${FROZEN_S || 3} s%s, and woken: what it does late is dropped`,
    {
      timeout: 90_000 + 2000 * FROZEN_S,
    },
    async (_how, clock, why) => {
      const table = await shop(kind);
      const slow = ['--set', 'replica.slowMs=300'];
      const env = { TEST_LEASE_MS: String(leaseMs), TEST_CLOCK: clock };
      const a = table.run('a', slow, env);
      await a.says(LEADS);
      await table.areEqual();
      const b = table.run('b', [], env);
      await b.says(STANDS_BY);
      const aToken = await table.leaderToken();
      const before = table.noted('true');
      table.feed();
      await expect.poll(() => table.noted('true') > before + 5, { timeout: 20_000 }).toBe(true);
      table.freeze(a); // with changes in its mailboxes and handlers
      const frozen = performance.now();
      await b.says(LEADS);
      expect(performance.now() - frozen).toBeLessThan(leaseMs + leaseMs / 3 + SLACK_MS);
      await expect
        .poll(() => performance.now() - frozen > Math.max(FROZEN_S * 1000, 3 * leaseMs), {
          timeout: 60_000 + FROZEN_S * 1000,
        })
        .toBe(true);
      table.stop();
      await table.areEqual();
      const position = await table.bookmark();
      expect(await table.leaderToken()).toBeGreaterThan(aToken);
      const ofA = `pid = ${a.pid}`;
      const late = table.noted(ofA);
      const taken = table.takenBelow(position.epoch);
      a.signal('SIGCONT');
      await a.says(why);
      await a.says(STANDS_BY);
      // What it had begun it ends, and all of it is older than what the other wrote.
      await expect.poll(() => table.noted(`${ofA} AND outcome = 'older'`), { timeout: 20_000 }).toBeGreaterThan(0);
      await table.areEqual();
      const { epoch, version } = await table.bookmark();
      expect(epoch).toBe(position.epoch);
      expect(version).toBeGreaterThanOrEqual(position.version);
      expect(table.noted(`${ofA} AND epoch >= ${position.epoch}`)).toBe(0);
      // The last word on each row is the new leader's: nothing of the old one was taken after it was woken.
      expect(taken).toEqual(expect.arrayContaining(table.takenBelow(position.epoch)));
      expect(table.noted(ofA)).toBeGreaterThan(late);
      // And back: it leads again, in an epoch above both.
      table.feed();
      b.signal('SIGKILL');
      await a.says(LEADS, 1);
      table.stop();
      await table.areEqual(40_000);
      expect((await table.bookmark()).epoch).toBeGreaterThan(position.epoch);
      expect(a.count(ANEW) + b.count(ANEW)).toBe(1);
      await stopped(a);
    },
  );
});

test('a leader with a checkpoint of its own is refused, and so is a lease in an I/O actor that is not there', async () => {
  const table = await shop();
  for (const [env, says] of [
    [{ TEST_CHECKPOINT: '1' }, 'sources.changes.checkpoint'],
    [{ TEST_LEASE_IN: 'nowhere' }, 'there is no I/O actor'],
  ] as const) {
    const replica = table.run('refused', [], env);
    const { code, stderr } = await replica.running.ended;
    expect(code, stderr).not.toBe(0);
    expect(stderr).toContain(says);
  }
});

test('a lease in another I/O actor of the topology works through the engine', async () => {
  const table = await shop();
  const replica = table.run('a', [], { TEST_LEASE_IN: 'redis' });
  await replica.says(LEADS);
  table.feed();
  await expect.poll(() => table.noted('true'), { timeout: 20_000 }).toBeGreaterThan(30);
  table.stop();
  await table.areEqual();
  await stopped(replica);
  expect(replica.count('the lease is given back')).toBe(1);
});
