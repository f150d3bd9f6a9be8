/** The store in a file: what survives, and what is said of files that cannot be used. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { chmod, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import { type RedisClient, redis } from '../../actors/redis/index.ts';
import type { Version } from '../../runtime/index.ts';
import { boundByPermissions } from '../support/permissions.ts';
import { errorFrom } from '../support/runtimes.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { TOOLS } from '../support/tools.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';
import { opened } from './support.ts';

const NODE = fileURLToPath(new URL('../../scripts/node.sh', import.meta.url));
const CHILD = fileURLToPath(new URL('./file-child.ts', import.meta.url));
const v = (n: number): Version => ({ epoch: 1, n });

async function storePath(): Promise<string> {
  return join(await tempFolder('redis'), 'store.db');
}

interface Writer {
  readonly child: ChildProcess;
  /** Numbers of the writes that were answered. */
  readonly answered: number[];
  /** Resolves when so many were. */
  reached(count: number): Promise<void>;
}

/** A process that writes to the store without end, and says which writes were answered. */
function writer(path: string, from: number): Writer {
  const child = spawn('sh', [NODE, CHILD, path, String(from)], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const answered: number[] = [];
  const lines = createInterface(child.stdout!);
  lines.on('line', line => answered.push(Number(line)));
  return {
    child,
    answered,
    async reached(count) {
      while (answered.length < count) await once(lines, 'line');
    },
  };
}

async function killed({ child }: Writer): Promise<void> {
  const closed = once(child, 'close'); // and its pipe was read to the end
  child.kill('SIGKILL');
  await closed;
}

async function checkWritten(client: RedisClient, answered: readonly number[]): Promise<void> {
  for (const n of answered) {
    const [value, versioned] = [await client.get(`k${n}`), await client.getVersioned(`v${n % 10}`)];
    const fields = await client.getFields(`f${n % 10}`);
    if (value !== String(n)) throw new Error(`the answered write ${n} is gone: found ${String(value)}`);
    if (!(versioned!.version.n >= n) || !(fields!.version.n >= n)) throw new Error(`an older version than ${n}`);
  }
}

test('kill -9: all that was answered is there, again and again', async () => {
  const path = await storePath();
  let highest = 0;
  for (let round = 0; round < 3; round++) {
    const writing = writer(path, highest + 1);
    await writing.reached(200 + 150 * round);
    await killed(writing);
    const { client, resource } = await opened({ url: `file:${path}` });
    await checkWritten(client, writing.answered);
    highest = Math.max(...writing.answered);
    // Batches were written whole or not at all: of each write all parts are there.
    const found = (await client.getVersioned('last'))!;
    expect(Number(found.value)).toBe(found.version.n);
    expect(found.version.n).toBeGreaterThanOrEqual(highest);
    expect(await client.get(`k${found.version.n}`)).toBe(String(found.version.n));
    expect(await client.get(`k${found.version.n + 1}`)).toBe(null);
    highest = found.version.n;
    await resource.close();
  }
});

test('a second process is told that the file is taken', async () => {
  const path = await storePath();
  const writing = writer(path, 1);
  await writing.reached(1);
  const error = await errorFrom(opened({ url: `file:${path}` }));
  expect(error).toMatchObject({ code: 'STORE_IN_USE', class: 'fatal', place: { at: path } });
  expect(error.message).toContain('is open already, in another process');
  await killed(writing);
  const { client } = await opened({ url: `file:${path}` });
  expect(await client.get('k1')).toBe('1');
});

test('a thread that is ended lets go of the file, and the next has what was answered', async () => {
  const path = await storePath();
  const worker = new Worker(new URL('./file-child.ts', import.meta.url), { argv: [path, '1'], stdout: true });
  worker.stdout.resume();
  await once(worker.stdout, 'data');
  await worker.terminate();
  const { client } = await opened({ url: `file:${path}` });
  expect(await client.get('k1')).toBe('1');
});

test('what has expired meanwhile is gone, and swept from the file', async () => {
  const path = await storePath();
  const environment = virtualEnvironment();
  const first = await opened({ url: `file:${path}`, versionsMs: 1000 }, environment);
  await first.client.set('short', '1', { ttlMs: 500 });
  await first.client.setVersioned('versioned', 'x'.repeat(100), v(5), { ttlMs: 500 });
  await first.client.set('long', '1', { ttlMs: 60_000 });
  await first.resource.close();
  await environment.advance(600);
  const second = await opened({ url: `file:${path}`, versionsMs: 1000 }, environment);
  const keys = ['short', 'long'];
  expect(await second.client.getMany(keys)).toEqual([null, '1']);
  expect((await second.client.setVersioned('versioned', 'late', v(4))).outcome).toBe('older');
  await environment.advance(100);
  await second.resource.close();
  const rows = () => {
    const db = new DatabaseSync(path, { readOnly: true });
    const found = db.prepare('SELECT key, entry FROM entries ORDER BY key').all();
    db.close();
    return found as { key: string; entry: string }[];
  };
  expect(rows().map(row => row.key)).toEqual(['long', 'versioned']);
  expect(rows()[1]!.entry).not.toContain('xxx');
  const third = await opened({ url: `file:${path}`, versionsMs: 1000 }, environment);
  await environment.advance(1000);
  await third.resource.close();
  expect(rows().map(row => row.key)).toEqual(['long']);
});

test('closing leaves one file', async () => {
  const path = await storePath();
  const { client, resource } = await opened({ url: `file:${path}` });
  await client.set('a', '1');
  await resource.close();
  expect(readdirSync(join(path, '..'))).toEqual(['store.db']);
});

test('the folder is made; a new file has a higher epoch and higher tokens than the lost one', async () => {
  const environment = virtualEnvironment();
  const folder = await tempFolder('redis');
  const open = (name: string) => opened({ url: `file:${join(folder, name)}` }, environment);
  const first = await open('new/folder/a.db');
  const lease = (await first.client.acquire('l', 'me', 1000))!;
  await environment.advance(1000);
  const second = await open('b.db');
  expect(await second.client.epoch()).toBeGreaterThan(await first.client.epoch());
  expect((await second.client.acquire('l', 'me', 1000))!.token).toBeGreaterThan(lease.token);
});

test('a corrupt file is refused and left as it is', async () => {
  const path = await storePath();
  const refused = async (file: string, why: string) => {
    const before = readFileSync(file);
    const error = await errorFrom(opened({ url: `file:${file}` }));
    expect(error).toMatchObject({ code: 'STORE_CORRUPT', class: 'fatal', place: { at: file } });
    expect(error.message).toContain(why);
    expect(readFileSync(file).equals(before)).toBe(true);
  };
  const rehearsed = (file: string) =>
    errorFrom(
      Promise.resolve().then(() => redis({ url: '' }).rehearse!({ url: `file:${file}` }, null, 'store', '/', TOOLS)),
    );
  const { client, resource } = await opened({ url: `file:${path}` });
  for (let n = 0; n < 200; n++) await client.set(`k${n}`, 'x'.repeat(200));
  await resource.close();
  const garbage = `${path}.garbage`;
  writeFileSync(garbage, 'no database, and long enough to be looked at'.repeat(100));
  await refused(garbage, 'file is not a database');
  expect(await rehearsed(garbage)).toMatchObject({ code: 'STORE_CORRUPT' });
  const torn = `${path}.torn`;
  copyFileSync(path, torn);
  truncateSync(torn, Math.floor((await stat(torn)).size / 8192) * 4096);
  await refused(torn, 'malformed');
  const foreign = `${path}.foreign`;
  const other = new DatabaseSync(foreign);
  other.exec('CREATE TABLE t (x)');
  other.close();
  expect(await errorFrom(opened({ url: `file:${foreign}` }))).toMatchObject({ code: 'STORE_CORRUPT' });
  expect(await rehearsed(foreign)).toMatchObject({
    code: 'STORE_CORRUPT',
    message: expect.stringContaining('no store of keymill'),
  });
  const later = `${path}.later`;
  copyFileSync(path, later);
  const db = new DatabaseSync(later);
  db.exec('PRAGMA user_version = 2');
  db.close();
  expect(await errorFrom(opened({ url: `file:${later}` }))).toMatchObject({
    code: 'STORE_CORRUPT',
    message: expect.stringContaining('its format is 2'),
  });
  const broken = new DatabaseSync(path);
  broken.exec(`UPDATE entries SET entry = '["v"' WHERE key = 'k7'`);
  broken.close();
  expect(await errorFrom(opened({ url: `file:${path}` }))).toMatchObject({
    code: 'STORE_CORRUPT',
    message: expect.stringContaining('an entry of it cannot be read'),
  });
});

test('a file or folder that cannot be written is refused at the start', async context => {
  const folder = await tempFolder('redis');
  await chmod(folder, 0o777);
  const path = join(folder, 'store.db');
  const { client, resource } = await opened({ url: `file:${path}` });
  await client.set('a', '1');
  await resource.close();
  await chmod(path, 0o444);
  const locked = join(folder, 'locked');
  await mkdir(locked, { mode: 0o555 });
  boundByPermissions(context);
  for (const file of [path, join(locked, 'store.db'), join(locked, 'new/store.db'), join(path, 'store.db')])
    expect(await errorFrom(opened({ url: `file:${file}` }))).toMatchObject({ code: 'STORE_READ_ONLY', class: 'fatal' });
});

test('a folder in its place is refused', async () => {
  const folder = await tempFolder('redis');
  expect(await errorFrom(opened({ url: `file:${folder}` }))).toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('is a folder'),
  });
});

test('both ways of fsync keep what was answered when the process goes on', async () => {
  const path = await storePath();
  for (const [n, fsync] of (['none', 'batch'] as const).entries()) {
    const { client, resource } = await opened({ url: `file:${path}`, fsync });
    await client.set(`k${n}`, fsync);
    await resource.close();
  }
  const { client } = await opened({ url: `file:${path}` });
  expect(await client.getMany(['k0', 'k1'])).toEqual(['none', 'batch']);
});
