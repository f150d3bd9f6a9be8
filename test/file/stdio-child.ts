/**
 * What stdio.test.ts runs as a process of its own. The I/O actor lives on a worker thread, as in the runtime.
 * copy: stdin to stdout, a batch a chunk. idle: reads stdin until the first record, then aborts. killed: reads stdin
 * until the first record, then the main thread terminates the worker. What is to be seen goes to stderr.
 */
import { writeSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { type FileOptionsInput, file } from '../../actors/file/index.ts';
import { systemEnvironment } from '../../runtime/environment.ts';

const say = (what: unknown) => writeSync(2, `${JSON.stringify(what)}\n`);

if (isMainThread) {
  const [mode, options = '{}'] = process.argv.slice(2);
  const worker = new Worker(new URL(import.meta.url), { workerData: { mode, options: JSON.parse(options) } });
  worker.on('message', async () => {
    await worker.terminate();
    say('terminated');
  });
} else await run();

async function run(): Promise<void> {
  const { mode, options } = workerData as { mode: string; options: Partial<FileOptionsInput> };
  const log = { debug: say, info: say, warn: say, error: say };
  const spec = file({ url: '-', ...options });
  const environment = systemEnvironment();
  const resource = await spec.open(spec.options, {
    name: 'std',
    dataDir: '',
    first: true,
    reads: false,
    environment,
    log,
  });
  const abort = new AbortController();
  const half = resource.source!({});
  let last = -1;
  for await (const records of half.read(0, abort.signal)) {
    last = records.at(-1)!.position;
    if (mode === 'idle') abort.abort();
    if (mode === 'killed') parentPort!.postMessage('reading');
    if (mode !== 'copy') continue;
    for (const { value, broken } of records) if (broken) say([broken.code, broken.place.at, value]);
    const asks = records
      .filter(({ broken }) => !broken)
      .map(({ value }) => ({ op: 'append', path: '', records: [value] }));
    const replies = await resource.handleBatch(asks, abort.signal);
    const failed = replies.find(reply => 'error' in reply);
    if (failed) {
      say(failed.error);
      break;
    }
  }
  await resource.close();
  say({ traits: half.traits, last });
}
