/** A driver that was closed has left nothing behind: its process ends by itself, whatever its server does. */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type Ended, type Running, script } from '../support/cli.ts';
import { later } from '../support/later.ts';
import { redisProxy } from '../support/redis-client.ts';
import { redisServer } from '../support/redis-server.ts';
import { redisService, skipped } from '../support/services.ts';

const SCRIPT = fileURLToPath(new URL('./fixtures/redis-closing.ts', import.meta.url));
/** From the closing of the last driver on; a socket whose other side is silent is given up after two seconds. */
const END_MS = 3000;

/** The process after its last words; null when it does not end. */
async function endOf(running: Running): Promise<Ended | null> {
  return Promise.race([running.ended, later(END_MS).then(() => null)]);
}

describe.skipIf(skipped('redis'))('a process whose drivers were closed ends', () => {
  test.for([['after use of each kind of server'], ['though each was closed while it connected', '--at-once']])(
    '%s',
    { timeout: 30_000 },
    async ([, ...flags]) => {
      const { url, sentinel, cluster } = redisService()!;
      const running = script(SCRIPT, [`${url} ${sentinel} ${cluster}`, ...flags]);
      await expect.poll(() => running.stdout.match(/closed in/g)?.length, { timeout: 15_000 }).toBe(3);
      expect(await endOf(running)).toMatchObject({ code: 0 });
    },
  );

  test('though its server is killed, is paused, or cannot be reached', { timeout: 30_000 }, async () => {
    await Promise.all((['killed', 'paused', 'in a black hole'] as const).map(endsThough));
  });

  async function endsThough(how: 'killed' | 'paused' | 'in a black hole'): Promise<void> {
    const server = await redisServer();
    const proxy = await redisProxy(server.url);
    const running = script(SCRIPT, [proxy.url, '--wait']);
    await running.says('used', 'stdout');
    if (how === 'killed') await server.kill();
    else if (how === 'paused') server.pause();
    else proxy.blackhole();
    running.kill('SIGUSR2');
    await running.says('closed in', 'stdout');
    const ended = await endOf(running);
    expect(ended).toMatchObject({ code: 0 });
    expect(Number(/closed in (\d+) ms/.exec(ended!.stdout)![1])).toBeLessThan(2500);
    expect(ended!.stdout).toMatch(/^open: (IO_FAILED|RUNTIME_STOPPED)$/m);
  }
});
