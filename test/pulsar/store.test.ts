/** The file of a bus: who may have it, what a kill leaves in it, and what is wrong with it. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { expect, onTestFinished, type TestContext, test } from 'vitest';
import { isKeymillError, type KeymillError } from '../../runtime/index.ts';
import { script } from '../support/cli.ts';
import { boundByPermissions } from '../support/permissions.ts';
import { errorFrom } from '../support/runtimes.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { busAt, idsOf, opened, take, text, texts } from './support.ts';

const CHILD = join(import.meta.dirname, 'bus-child.ts');

function thrownBy(run: () => unknown): KeymillError {
  try {
    run();
  } catch (error) {
    if (isKeymillError(error)) return error;
    throw error;
  }
  throw new Error('expected a throw');
}

const numbersIn = (stdout: string, kind: string): number[] =>
  [...stdout.matchAll(new RegExp(`^${kind}(\\d+)$`, 'gm'))].map(match => Number(match[1]));

test('a kill loses nothing that was answered, round after round', async () => {
  const file = join(await tempFolder('pulsar'), 'bus.db');
  const published = new Set<number>();
  const acked = new Set<number>();
  let from = 0;
  for (let round = 0; round < 3; round++) {
    const child = script(CHILD, ['work', file, String(from)]);
    await expect.poll(() => numbersIn(child.stdout, 'a').length, { timeout: 10_000 }).toBeGreaterThan(40);
    child.kill('SIGKILL');
    const { signal, stdout, stderr } = await child.ended;
    expect(signal, stderr).toBe('SIGKILL');
    for (const n of numbersIn(stdout, 'p')) published.add(n);
    for (const n of numbersIn(stdout, 'a')) acked.add(n);
    from = Math.max(...published) + 1000;
  }
  const bus = busAt(file);
  const consumer = await bus.subscribe({ topics: ['numbers'], subscription: 's', type: 'Shared' });
  const { backlog } = (await bus.stats('numbers')).subscriptions['s']!;
  const rest = (await take(consumer, backlog)).map(message => Number(text(message)));
  expect(rest.filter(n => acked.has(n))).toEqual([]);
  const left = new Set(rest);
  // What is neither left nor was acknowledged with an answer may have been acknowledged without: the kill came between.
  const lost = [...published].filter(n => !left.has(n) && !acked.has(n));
  expect(lost.length).toBeLessThanOrEqual(3);
  expect(left.size).toBe(rest.length);
});

test('a file is of one process, and free again when that is killed', async () => {
  const file = join(await tempFolder('pulsar'), 'bus.db');
  const holder = script(CHILD, ['hold', file]);
  await holder.says('open', 'stdout');
  const refused = thrownBy(() => busAt(file));
  expect(refused).toMatchObject({ code: 'STORE_IN_USE', class: 'fatal', place: { at: file } });
  const second = await script(CHILD, ['hold', file]).ended;
  expect(second.code).not.toBe(0);
  expect(second.stderr).toContain('STORE_IN_USE');
  holder.kill('SIGKILL');
  await holder.ended;
  await busAt(file).probe();
});

test('a file is of one bus of a process, and free again when its thread is gone', async () => {
  const file = join(await tempFolder('pulsar'), 'bus.db');
  const first = busAt(file);
  expect(thrownBy(() => busAt(file)).code).toBe('STORE_IN_USE');
  await first.close();
  const worker = new Worker(CHILD, { argv: ['hold', file], stdout: true });
  await new Promise(resolve => worker.stdout.once('data', resolve));
  expect(thrownBy(() => busAt(file)).code).toBe('STORE_IN_USE');
  await worker.terminate();
  await busAt(file).probe();
});

test('after its thread was replaced, the I/O actor waits for the file', async () => {
  const url = `file:${join(await tempFolder('pulsar'), 'bus.db')}`;
  const first = await opened({ url });
  expect(await errorFrom(opened({ url }))).toMatchObject({ code: 'STORE_IN_USE' });
  const second = opened({ url }, { first: false });
  await first.resource.close();
  await (await second).resource.probe!();
});

test('what is no bus is left as it is', async () => {
  const folder = await tempFolder('pulsar');
  const garbage = join(folder, 'garbage.db');
  writeFileSync(garbage, 'x'.repeat(5000));
  expect(thrownBy(() => busAt(garbage))).toMatchObject({ code: 'STORE_CORRUPT', place: { at: garbage } });
  expect(readFileSync(garbage, 'utf8')).toBe('x'.repeat(5000));

  const foreign = join(folder, 'foreign.db');
  const database = new DatabaseSync(foreign);
  database.exec('CREATE TABLE mine (x)');
  database.close();
  expect(thrownBy(() => busAt(foreign)).message).toContain('is a database of something else');

  const newer = join(folder, 'newer.db');
  await busAt(newer).close();
  const later = new DatabaseSync(newer);
  later.exec('PRAGMA user_version = 2');
  later.close();
  expect(thrownBy(() => busAt(newer)).message).toContain('has format 2, this keymill reads 1');
});

test('a file that is damaged inside says so to who reads there, each time', async () => {
  const file = join(await tempFolder('pulsar'), 'bus.db');
  const bus = busAt(file);
  const producer = await bus.createProducer({ topic: 't' });
  for (let n = 0; n < 50; n++) await producer.send({ payload: `${n}`.padStart(2000, '.') });
  await bus.close();
  const pages = readFileSync(file).length / 4096;
  const handle = openSync(file, 'r+');
  for (let page = 8; page < pages - 1; page++) writeSync(handle, Buffer.alloc(4096, 0xff), 0, 4096, page * 4096);
  const damaged = busAt(file);
  const subscribe = (topic: string) =>
    damaged.subscribe({ topics: [topic], subscription: 's', type: 'Exclusive', initialPosition: 'Earliest' });
  const consumer = await subscribe('t');
  let fault: unknown;
  for (let n = 0; n < 50 && fault === undefined; n++)
    await consumer.receive().catch((error: unknown) => (fault = error));
  expect(fault).toMatchObject({ code: 'STORE_CORRUPT', class: 'fatal', place: { at: file } });
  expect((await errorFrom(consumer.receive())).code).toBe('STORE_CORRUPT');
});

test('a subscription that cannot be read is not taken for a new one', async () => {
  const file = join(await tempFolder('pulsar'), 'bus.db');
  const bus = busAt(file);
  await (await bus.subscribe({ topics: ['t'], subscription: 's', type: 'Shared' })).close();
  await bus.close();
  const database = new DatabaseSync(file);
  database.exec("UPDATE subscription SET acked = '[1,'");
  database.close();
  expect(thrownBy(() => busAt(file))).toMatchObject({ code: 'STORE_CORRUPT', place: { at: file } });
});

test('a file or folder that may not be written is said to be so', async context => {
  const folder = await tempFolder('pulsar');
  const file = join(folder, 'bus.db');
  await busAt(file).close();
  chmodSync(file, 0o444);
  chmodSync(folder, 0o555);
  onTestFinished(() => chmodSync(folder, 0o755));
  boundByPermissions(context);
  expect(thrownBy(() => busAt(file))).toMatchObject({ code: 'STORE_READ_ONLY', class: 'fatal', place: { at: file } });
  expect(thrownBy(() => busAt(join(folder, 'new', 'bus.db'))).code).toBe('STORE_READ_ONLY');
});

/** Publishes until there is no room, and after `makeRoom` goes on: nothing may be lost, doubled or moved by it. */
async function fillUp(bus: ReturnType<typeof busAt>, makeRoom: () => void): Promise<void> {
  const consumer = await bus.subscribe({ topics: ['t'], subscription: 's', type: 'Exclusive' });
  const producer = await bus.createProducer({ topic: 't' });
  const answered: string[] = [];
  let fault: unknown;
  const payload = (n: number): string => `${n}`.padStart(20_000, '.');
  for (let n = 0; fault === undefined; n += 3) {
    const sent = await Promise.allSettled([0, 1, 2].map(i => producer.send({ payload: payload(n + i) })));
    expect(new Set(sent.map(one => one.status)).size).toBe(1); // all of a commit or none
    for (const one of sent)
      if (one.status === 'fulfilled') answered.push(one.value);
      else fault = one.reason;
  }
  expect(fault).toMatchObject({ code: 'OUTPUT_FULL', class: 'transient' });
  expect(await errorFrom(bus.probe())).toMatchObject({ code: 'OUTPUT_FULL' });
  expect((await bus.stats('t')).messages).toBe(answered.length);
  const messages = await take(consumer, answered.length);
  expect(idsOf(messages)).toEqual(answered);
  expect(texts(messages)).toEqual(answered.map((_, n) => payload(n)));
  makeRoom();
  await consumer.acknowledge(idsOf(messages));
  await expect.poll(() => bus.probe().then(() => 'room'), { timeout: 5000 }).toBe('room');
  const id = await producer.send({ payload: 'after' });
  expect((await take(consumer, 1)).map(message => [message.id, text(message)])).toEqual([[id, 'after']]);
}

test('when the bus has its largest size, publishes wait until messages are acknowledged, and nothing is lost', async () => {
  const file = join(await tempFolder('pulsar'), 'bus.db');
  await fillUp(busAt(file, { maxBytes: 1_000_000, retention: { ms: 0, bytes: 0 } }), () => undefined);
});

/** Mounts a small tmpfs on a folder of its own, or skips the test and says why. */
async function mounted(context: TestContext, options: string): Promise<string> {
  const folder = await tempFolder('pulsar');
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { stdio: 'pipe' });
  } catch (error) {
    console.log(`skipped: no tmpfs could be mounted (${error instanceof Error ? error.message.trim() : error})`);
    context.skip('no tmpfs could be mounted; this needs root');
  }
  onTestFinished(() => void execFileSync('umount', ['-l', folder]));
  return folder;
}

test('on a full disk publishes wait and nothing is lost', async context => {
  const folder = await mounted(context, 'size=3m');
  writeFileSync(join(folder, 'ballast'), Buffer.alloc(1_500_000));
  const bus = busAt(join(folder, 'bus.db'));
  await fillUp(bus, () => rmSync(join(folder, 'ballast')));
});

test('a folder is made for the file, and a bus in memory leaves nothing behind', async () => {
  const folder = await tempFolder('pulsar');
  const file = join(folder, 'a/b/bus.db');
  await busAt(file).close();
  expect(existsSync(file)).toBe(true);
  expect(existsSync(`${file}-wal`)).toBe(false);
  await busAt(':memory:').close();
  expect(existsSync(':memory:')).toBe(false);
});
