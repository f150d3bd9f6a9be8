/**
 * What file.test.ts runs as a process, or a thread, of its own: writes to a store until it is killed, many asks at once, and
 * prints the number of each write when it is answered.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { redis } from '../../actors/redis/index.ts';
import { systemEnvironment } from '../../runtime/environment.ts';

const [path, from] = process.argv.slice(-2) as [string, string];
const quiet = () => {};
const spec = redis({ url: `file:${path}` });
const resource = await spec.open(spec.options, {
  name: 'store',
  dataDir: '',
  first: true,
  reads: false,
  environment: systemEnvironment(),
  log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
});

const BATCH = 7;
for (let n = Number(from); ; n += BATCH) {
  const numbers = Array.from({ length: BATCH }, (_, i) => n + i);
  const replies = await resource.handleBatch(
    numbers.flatMap(i => {
      const version = { epoch: 1, n: i };
      const value = String(i);
      const merge = { version, names: ['n', `n${i % 3}`], values: [value, value], isWhole: false, isGone: false };
      return [
        { op: 'set', key: `k${i}`, value, ttlMs: 0, id: null },
        { op: 'setVersioned', key: `v${i % 10}`, value, version, ttlMs: 0, fence: null },
        { op: 'merge', key: `f${i % 10}`, ...merge, ttlMs: 0, publish: null, fence: null },
        { op: 'setVersioned', key: 'last', value, version, ttlMs: 0, fence: null },
      ];
    }),
    new AbortController().signal,
  );
  if (replies.some(reply => 'error' in reply)) throw new Error(`refused: ${JSON.stringify(replies)}`);
  process.stdout.write(numbers.map(i => `${i}\n`).join(''));
  await turn(); // a pipe that is full must not make this process hold all it says
}
