/** What starts real servers, where no server is needed to see it. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { fromLines, toLines } from '../../scripts/services/exports.ts';
import { locked } from '../../scripts/services/lock.ts';
import { expectFree, freePorts } from '../../scripts/services/ports.ts';
import { alive, kill, run, startServer } from '../../scripts/services/processes.ts';
import { Place } from '../../scripts/services/service.ts';
import { tempFolder } from './temp-folder.ts';

describe('lines for a shell', () => {
  const exports = { REDIS: 'redis://127.0.0.1:1', PULSAR_CA: `/a b/it's "$HOME"/\`x\`\\n` };

  test('mean to a shell what was meant', () => {
    const script = `${toLines(exports)} printf '%s\\n%s' "$KEYMILL_TEST_REDIS" "$KEYMILL_TEST_PULSAR_CA"`;
    expect(spawnSync('sh', ['-c', script], { encoding: 'utf8' }).stdout).toBe(Object.values(exports).join('\n'));
  });

  test('are read again, among others', () => {
    expect(fromLines(`starting\n${toLines(exports)}export OTHER='1'\n`)).toEqual({
      KEYMILL_TEST_REDIS: exports.REDIS,
      KEYMILL_TEST_PULSAR_CA: exports.PULSAR_CA,
    });
  });
});

describe('a server process', () => {
  const place = async (): Promise<Place> => new Place(await tempFolder('services'), 'a');

  test('lives until it is killed', async () => {
    const at = await place();
    expect(alive(at)).toBe(null);
    at.path('log');
    const pid = startServer(at, 'sleep', ['3600']);
    onTestFinished(() => kill(pid));
    at.write({ pid, ports: [1, 2] });
    expect(alive(at)).toBe(pid);
    await kill(pid);
    expect([alive(at), at.read()]).toEqual([null, { pid, ports: [1, 2] }]);
    at.drop();
    expect(at.read()).toBe(null);
  });

  test.runIf(existsSync('/proc/self/cwd'))('is not another that got its id', async () => {
    const at = await place();
    at.path('log');
    at.write({ pid: process.pid, ports: [] });
    expect(alive(at)).toBe(null);
  });

  test('that is not there, or fails, is said by name', async () => {
    await expect(run('no-such-command-anywhere', [])).rejects.toThrow('no no-such-command-anywhere on the PATH');
    await expect(run('sh', ['-c', 'echo first; echo "[ERROR] why"; echo last; exit 3'])).rejects.toThrow(
      'sh failed: [ERROR] why',
    );
  });
});

test('ports are different, and known to be taken when they are', async () => {
  const ports = await freePorts(4);
  expect(new Set(ports).size).toBe(4);
  await expectFree(ports);
  const script = `require('node:net').createServer().listen(${ports[2]}, '127.0.0.1', () => console.log())`;
  const child = spawn(process.execPath, ['-e', script]);
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  await expect(expectFree(ports)).rejects.toThrow(`port ${ports[2]} is in use`);
});

test('one task at a time in a folder; the lock of a process that is gone holds up nobody', async () => {
  const folder = await tempFolder('services');
  const child = spawn('true');
  await once(child, 'close');
  writeFileSync(join(folder, 'lock'), String(child.pid));
  let running = 0;
  const task = async (): Promise<void> => {
    expect(++running).toBe(1);
    await new Promise(resolve => setImmediate(resolve));
    running--;
  };
  await Promise.all([locked(folder, task), locked(folder, task)]);
  await expect(locked(folder, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  await locked(folder, task);
});
