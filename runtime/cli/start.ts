/** `keymill start FILE`: runs a topology until its sources end (--once), a signal comes, or it fails. */
import { Command, InvalidArgumentError } from 'commander';
import { parseLogLevel } from '../observe/log.ts';
import type { Summary } from '../observe/summary.ts';
import { type Runtime, start } from '../runtime.ts';
import { parseChaos } from '../supervisor/chaos.ts';
import { loadTopology, moduleUrl } from '../topology/plan.ts';
import { EXIT_FAILED, errorJson, exitCodeOf, formatError } from './errors.ts';
import { format, Progress, paintFor, progressLine } from './terminal.ts';

interface StartFlags {
  once?: boolean;
  json?: boolean;
  set: Record<string, unknown>;
  port?: number;
  threads?: number;
  data?: string;
  repeat?: number;
  chaos?: string;
  log?: string;
}

export function startCommand(): Command {
  return new Command('start')
    .description('Runs a topology.')
    .argument('<file>', 'module whose default export is a topology')
    .option('--once', 'stop when all sources have ended and everything is settled, and print a summary')
    .option('--json', 'print the summary as one JSON object')
    .option(
      '--set <path=value>',
      'change an option: io.out.url=file:./out, actors.ledger.batch.max=100',
      collectSets,
      {},
    )
    .option('--port <n>', 'serve /metrics and /health on this port of 127.0.0.1 (0: any free one)', integer(0, 65_535))
    .option('--threads <n>', 'hosts to run; default: the cores of this machine', integer(1, 256))
    .option('--data <dir>', 'folder of the embedded parts; default .keymill/NAME')
    .option('--repeat <n>', 'read finite sources this many times', integer(1, 1e9))
    .option('--chaos <faults>', 'inject faults: kill-host=250ms, stall-host=2s, seed=7, joined by commas')
    .option('--log <level>', 'debug, info, warn, error or silent; default warn, or KEYMILL_LOG_LEVEL')
    .action(run);
}

async function run(file: string, flags: StartFlags): Promise<void> {
  const paint = paintFor(process.stderr, process.env);
  const progress = new Progress(process.stderr);
  const signal = firstSignal(progress); // from now on: one that comes while it starts must not be missed
  let runtime: Runtime | undefined;
  try {
    const set = { ...flags.set };
    const topology = await loadTopology(file);
    if (flags.repeat !== undefined)
      for (const source of Object.keys(topology.definition.sources ?? {}))
        set[`sources.${source}.repeat`] = flags.repeat;
    runtime = await start(topology, {
      module: moduleUrl(file),
      set,
      logLevel: parseLogLevel(flags.log ?? process.env['KEYMILL_LOG_LEVEL'] ?? 'warn'),
      once: flags.once === true,
      ...(flags.port === undefined ? {} : { port: flags.port }),
      ...(flags.threads === undefined ? {} : { threads: flags.threads }),
      ...(flags.data === undefined ? {} : { dataDir: flags.data }),
      ...(flags.chaos === undefined ? {} : { chaos: parseChaos(flags.chaos) }),
    });
  } catch (error) {
    report(error, flags, paint);
    process.exitCode = exitCodeOf(error);
    return;
  }
  if (runtime.url) process.stderr.write(`metrics and health at ${runtime.url}\n`);
  await finish(runtime, flags, await untilOver(runtime, flags, signal, progress));
}

/** Waits for the end of the sources, a signal, or a failure; shows progress meanwhile. */
async function untilOver(
  runtime: Runtime,
  flags: StartFlags,
  signal: Promise<undefined>,
  progress: Progress,
): Promise<unknown> {
  let before: Summary | undefined;
  const showing = setInterval(
    () => {
      void runtime.summary().then(now => {
        progress.show(progressLine(now, before));
        before = now;
      });
    },
    process.stderr.isTTY ? 500 : 5000,
  );
  const settled = runtime.settled().then(
    () => (flags.once ? undefined : signal),
    (error: unknown) => error,
  );
  const failure = await Promise.race([signal, settled]);
  clearInterval(showing);
  progress.end();
  return failure;
}

/** Resolves at the first SIGTERM or SIGINT; the second ends the process. */
function firstSignal(progress: Progress): Promise<undefined> {
  let signalled = false;
  return new Promise(resolve => {
    const on = (name: string): void => {
      if (signalled) {
        process.stderr.write(`${name} again: leaving at once\n`);
        process.exit(EXIT_FAILED);
      }
      signalled = true;
      progress.end();
      process.stderr.write(`${name}: draining, again to leave at once\n`);
      resolve(undefined);
    };
    process.on('SIGTERM', () => on('SIGTERM'));
    process.on('SIGINT', () => on('SIGINT'));
  });
}

async function finish(runtime: Runtime, flags: StartFlags, failure: unknown): Promise<void> {
  const stopped = await runtime.stop(failure === undefined ? {} : { graceMs: 0 });
  const summary = runtime.finalSummary!;
  const error = failure ?? stopped.error;
  const ok = stopped.ok && error === undefined;
  const paint = paintFor(process.stderr, process.env);
  if (error !== undefined) process.stderr.write(`${formatError(error, paint)}\n`);
  if (flags.json) {
    process.stdout.write(
      `${JSON.stringify({ ...summary, ok, ...(error === undefined ? {} : { error: errorJson(error) }), ...(stopped.ok ? {} : { unsettled: stopped.unsettled, spooled: stopped.spooled, lost: stopped.lost }) })}\n`,
    );
  } else process.stderr.write(`${ok ? paint.green('done') : paint.red('not done')} ${sentence(summary)}\n`);
  process.exitCode = ok ? 0 : error === undefined ? EXIT_FAILED : exitCodeOf(error);
  // A handler that will not end must not keep the process.
  setTimeout(() => process.exit(), 1000).unref();
}

function sentence(summary: Summary): string {
  const { settled } = summary;
  const actors = Object.entries(summary.perActor).map(
    ([name, actor]) => `${name} ${format(actor.handled)} in ${format(actor.batches)} batches`,
  );
  return `${format(summary.messages)} messages in ${summary.seconds.toFixed(1)} s: ${format(settled.done)} done, ${format(settled.dead)} dead, ${format(settled.dropped)} dropped · ${actors.join(', ')} · ${summary.threads} hosts, ${summary.restarts} restarts, ${format(summary.repeats)} repeats`;
}

function report(error: unknown, flags: StartFlags, paint: ReturnType<typeof paintFor>): void {
  process.stderr.write(`${formatError(error, paint)}\n`);
  if (flags.json) process.stdout.write(`${JSON.stringify({ ok: false, error: errorJson(error) })}\n`);
}

export function collectSets(text: string, before: Record<string, unknown>): Record<string, unknown> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('expected path=value');
  return { ...before, [text.slice(0, at)]: parseValue(text.slice(at + 1)) };
}

/** JSON where it is JSON (numbers, true, {…}), else the text itself. */
function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function integer(min: number, max: number): (text: string) => number {
  return text => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < min || value > max)
      throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}`);
    return value;
  };
}
