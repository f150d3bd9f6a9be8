/** One load for all processes that share a Redis, and one more when its holder is killed. */
import { type ChildProcess, fork } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Cache } from '../../actors/cache/index.ts';
import { start } from '../../runtime/index.ts';
import { redisServer } from '../support/redis-server.ts';
import { skipped } from '../support/services.ts';
import { tempFolder } from '../support/temp-folder.ts';
import topology from './fixtures/cache-topology.ts';

const CHILD = fileURLToPath(new URL('./fixtures/cache-process.ts', import.meta.url));

interface Told {
  readonly got?: readonly string[];
  readonly count?: number;
  readonly error?: string;
}

interface Process {
  readonly child: ChildProcess;
  /** Asks so often, and says what came. */
  miss(key: string, asks: number, more: { lines: string; ms: number; gate?: string }): Promise<Told>;
}

const next = <T>(child: ChildProcess): Promise<T> =>
  new Promise((resolve, reject) => {
    child.once('message', message => resolve(message as T));
    child.once('exit', (code, signal) => reject(new Error(`the process ended: ${code ?? signal}`)));
  });

async function processes(count: number, url: string, namespace: string): Promise<Process[]> {
  const folder = await tempFolder('cache-processes');
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const child = fork(CHILD, [url, namespace, join(folder, `data${i}`)], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      onTestFinished(() => void child.kill('SIGKILL'));
      await next(child);
      return {
        child,
        miss(key, asks, more) {
          const reply = next<Told>(child);
          child.send({ key, asks, ...more });
          return reply;
        },
      } satisfies Process;
    }),
  );
}

const linesIn = (file: string): string[] => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []);

describe.skipIf(skipped('redis'))('several processes', () => {
  test('10,000 misses of one key over 4 processes with 2 threads each are one load', { timeout: 120_000 }, async () => {
    const { url } = await redisServer();
    const lines = join(await tempFolder('cache-lines'), 'lines');
    const four = await processes(4, url, 'misses');
    const told = await Promise.all(four.map(one => one.miss('k', 2500, { lines, ms: 400 })));
    expect(told.map(({ count, error }) => error ?? count)).toEqual([2500, 2500, 2500, 2500]);
    expect(new Set(told.flatMap(({ got }) => got)).size).toBe(1);
    expect(linesIn(lines)).toHaveLength(1);
  });

  test('when the holder of the lease is killed there is one more load, after its end', {
    timeout: 120_000,
  }, async () => {
    const { url } = await redisServer();
    const folder = await tempFolder('cache-lines');
    const lines = join(folder, 'lines');
    const gate = join(folder, 'gate');
    const [first, ...others] = await processes(3, url, 'killed');
    const lost = first!.miss('k', 10, { lines, ms: 0, gate }).catch((error: unknown) => error);
    await expect.poll(() => linesIn(lines)).toHaveLength(1);
    const rest = Promise.all(others.map(one => one.miss('k', 500, { lines, ms: 200 })));
    first!.child.kill('SIGKILL');
    await lost;
    const told = await rest;
    expect(told.map(({ count, error }) => error ?? count)).toEqual([500, 500]);
    expect(linesIn(lines)).toHaveLength(2);
    expect(new Set(told.flatMap(({ got }) => got)).size).toBe(1);
  });

  test('a holder that stood still stores nothing over what came after it', { timeout: 120_000 }, async () => {
    const { url } = await redisServer();
    const folder = await tempFolder('cache-lines');
    const lines = join(folder, 'lines');
    const gate = join(folder, 'gate');
    const [first, second] = await processes(2, url, 'stopped');
    const late = first!.miss('k', 10, { lines, ms: 0, gate });
    await expect.poll(() => linesIn(lines)).toHaveLength(1);
    first!.child.kill('SIGSTOP');
    const told = await second!.miss('k', 10, { lines, ms: 100 });
    expect(told.got).toEqual([`loaded by ${second!.child.pid}`]);
    writeFileSync(gate, '');
    first!.child.kill('SIGCONT');
    // What it loaded was refused, and it gives what stands there.
    expect((await late).got).toEqual(told.got);
    const runtime = await start(topology, {
      threads: 1,
      dataDir: join(folder, 'data'),
      logLevel: 'silent',
      set: { 'io.cache.url': url, 'io.cache.namespace': 'stopped' },
    });
    onTestFinished(async () => void (await runtime.stop()));
    expect(await runtime.io<Cache>('cache').get('k')).toBe(told.got![0]);
  });
});
