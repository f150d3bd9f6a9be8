/** File systems that are full or become read-only under a store, for real: small ones are mounted, which only root may. */
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, type TestContext, test } from 'vitest';
import { redis } from '../../actors/redis/index.ts';
import { errorFrom } from '../support/runtimes.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { TOOLS } from '../support/tools.ts';
import { opened } from './support.ts';

/** Mounts a tmpfs on a folder of its own for this test, or skips the test and says why. */
async function mounted(context: TestContext, options: string): Promise<string> {
  const folder = await tempFolder('redis');
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { stdio: 'pipe' });
  } catch (error) {
    console.log(`skipped: no tmpfs could be mounted (${error instanceof Error ? error.message.trim() : error})`);
    context.skip('no tmpfs could be mounted; this needs root');
  }
  onTestFinished(() => {
    execFileSync('umount', ['-l', folder]);
  });
  return folder;
}

test('on a full disk a batch is refused whole, in memory too, and nobody hears of it', async context => {
  const folder = await mounted(context, 'size=512k');
  const path = join(folder, 'store.db');
  const { client, resource } = await opened({ url: `file:${path}` });
  const messages = client.subscribe({ channel: 'c' })[Symbol.asyncIterator]();
  await client.set('a', 'before');
  await client.merge({ key: 'f', version: { epoch: 1, n: 1 }, fields: { x: '1' } });
  await resource.probe!();
  writeFileSync(join(folder, 'ballast'), Buffer.alloc(200_000));
  const big = 'x'.repeat(300_000);
  for (let round = 0; round < 3; round++) {
    const asked = [
      client.set('a', 'after'),
      client.merge({ key: 'f', version: { epoch: 1, n: 2 }, fields: { x: '2', y: '2' } }),
      client.multi([{ do: 'publish', channel: 'c', message: 'never' }]),
      client.set('big', big),
      client.get('a'),
    ];
    for (const error of await Promise.all(asked.map(errorFrom)))
      expect(error).toMatchObject({ code: 'OUTPUT_FULL', class: 'transient', place: { at: path } });
    expect(await client.getMany(['a', 'big'])).toEqual(['before', null]);
    expect(await client.getFields('f')).toMatchObject({ fields: { x: '1' }, version: { epoch: 1, n: 1 } });
    expect(await errorFrom(resource.probe!())).toMatchObject({ code: 'OUTPUT_FULL' });
  }
  rmSync(join(folder, 'ballast'));
  expect(await client.set('b', 'small')).toBe(true);
  await resource.probe!();
  expect(await client.set('big', 'x'.repeat(50_000))).toBe(true);
  await client.publish('c', 'now');
  expect((await messages.next()).value).toEqual({ channel: 'c', message: 'now' });
  await resource.close();
  expect(readdirSync(folder)).toEqual(['store.db']);
  const again = await opened({ url: `file:${path}` });
  expect(await again.client.getMany(['a', 'b'])).toEqual(['before', 'small']);
  await messages.return?.();
});

test('a probe says when there is room again', async context => {
  const folder = await mounted(context, 'size=512k');
  const { client, resource } = await opened({ url: `file:${join(folder, 'store.db')}` });
  writeFileSync(join(folder, 'ballast'), Buffer.alloc(350_000));
  expect(await errorFrom(client.set('a', 'x'.repeat(200_000)))).toMatchObject({ code: 'OUTPUT_FULL' });
  expect(await errorFrom(resource.probe!())).toMatchObject({ code: 'OUTPUT_FULL' });
  rmSync(join(folder, 'ballast'));
  await resource.probe!();
  expect(await client.set('a', 'x'.repeat(100_000))).toBe(true);
});

test('a read-only file system is refused at the opening, and by check', async context => {
  const folder = await mounted(context, 'size=1m');
  const path = join(folder, 'store.db');
  const first = await opened({ url: `file:${path}` });
  await first.client.set('a', '1');
  await first.resource.close();
  execFileSync('mount', ['-o', 'remount,ro', folder]);
  const spec = redis({ url: 'memory:' });
  for (const file of [path, join(folder, 'new/store.db')]) {
    const url = `file:${file}`;
    expect(await errorFrom(opened({ url }))).toMatchObject({ code: 'STORE_READ_ONLY', class: 'fatal' });
    const rehearsed = Promise.resolve().then(() => spec.rehearse!({ url }, null, 'store', '/', TOOLS));
    expect(await errorFrom(rehearsed)).toMatchObject({ code: 'STORE_READ_ONLY', class: 'fatal' });
  }
  execFileSync('mount', ['-o', 'remount,rw', folder]);
  expect(await (await opened({ url: `file:${path}` })).client.get('a')).toBe('1');
});
