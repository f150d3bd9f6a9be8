/**
 * A source of the user's own as a source half: an async iterable, or a poll function with the seed's rhythm (G2209 to
 * 2278): a pause between polls, doubled when there was nothing.
 */
import type { Environment } from '../environment.ts';
import type {
  Log,
  Position,
  Settings,
  SourceContext,
  SourceDefinition,
  SourceHalf,
  SourceRecord,
} from '../topology/define.ts';
import type { SourceOptions } from '../topology/options.ts';

/** Records that one chunk of an iterable collects at most while they come without a pause. */
const CHUNK = 256;

export function userSource<T>(
  name: string,
  definition: SourceDefinition<T>,
  options: SourceOptions,
  environment: Environment,
  log: Log,
  settings: Settings,
): SourceHalf<T> {
  const traits = { replayable: false, ordered: true, contiguous: false, ...definition.traits };
  return {
    traits,
    ...(definition.ack ? { ack: definition.ack.bind(definition) } : {}),
    ...(definition.close ? { close: definition.close.bind(definition) } : {}),
    async *read(from, signal) {
      const context = { source: name, signal, log, settings };
      if (definition.read) yield* iterate(definition.read(from, context), from, signal);
      else yield* poll(definition, from, signal, context, options, environment);
    },
  };
}

/** Yields as soon as nothing more is at hand, so that a slow iterable is not held back to fill a chunk. */
async function* iterate<T>(
  iterable: AsyncIterable<T> | Iterable<T>,
  from: Position,
  signal: AbortSignal,
): AsyncGenerator<SourceRecord<T>[]> {
  let position = from;
  if (Symbol.asyncIterator in iterable) {
    const aborted = new Promise<{ done: true; value: undefined }>(resolve =>
      signal.addEventListener('abort', () => resolve({ done: true, value: undefined }), { once: true }),
    );
    const iterator = iterable[Symbol.asyncIterator]();
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next.done) {
        if (signal.aborted) void iterator.return?.();
        return;
      }
      yield [{ position: position++, value: next.value }];
    }
  }
  let chunk: SourceRecord<T>[] = [];
  for (const value of iterable) {
    chunk.push({ position: position++, value });
    if (chunk.length < CHUNK) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

async function* poll<T>(
  definition: SourceDefinition<T>,
  from: Position,
  signal: AbortSignal,
  context: SourceContext,
  options: SourceOptions,
  environment: Environment,
): AsyncGenerator<SourceRecord<T>[]> {
  let position = from;
  while (!signal.aborted) {
    const items = await definition.poll!(options.batchSize, context);
    if (items === undefined) return;
    if (items.length > 0) yield items.map(value => ({ position: position++, value }));
    if (items.length < options.batchSize)
      await pause(items.length === 0 ? 2 * options.pauseMs : options.pauseMs, signal, environment);
  }
}

function pause(ms: number, signal: AbortSignal, environment: Environment): Promise<void> {
  return new Promise(resolve => {
    const timer = environment.clock.after(ms, resolve);
    signal.addEventListener(
      'abort',
      () => {
        timer.cancel();
        resolve();
      },
      { once: true },
    );
  });
}
