/** The services for a test run: they start while other steps run, and what was started for it ends with it. */
import { spawn, spawnSync } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { fromLines } from './exports.ts';

const SCRIPT = fileURLToPath(new URL('../services.sh', import.meta.url));
const NAMES = ['redis', 'pulsar'];

export interface Beside {
  /** Resolves when each service runs or is known not to; with the environment of tests, and what was said meanwhile. */
  readonly ready: Promise<{ readonly env: Readonly<Record<string, string>>; readonly said: string }>;
  /** Ends those that did not run before. */
  stop(): void;
}

export function startBeside(): Beside {
  const found = fromLines(spawnSync('sh', [SCRIPT, 'status'], { encoding: 'utf8' }).stdout);
  const child = spawn('sh', [SCRIPT, 'start', 'all'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ready = Promise.all([text(child.stdout), text(child.stderr)]).then(([lines, said]) => ({
    env: fromLines(lines),
    said,
  }));
  return {
    ready,
    stop: () => {
      for (const name of NAMES)
        if (!(`KEYMILL_TEST_${name.toUpperCase()}` in found))
          spawnSync('sh', [SCRIPT, 'stop', name], { stdio: 'inherit' });
    },
  };
}
