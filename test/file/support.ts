/** What the tests of the file I/O actor share: temp folders, an I/O context, a resource, reading a source to its end. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type FileOptionsInput, file } from '../../actors/file/index.ts';
import { type Environment, systemEnvironment } from '../../runtime/environment.ts';
import { isKeymillError, type KeymillError } from '../../runtime/errors.ts';
import type { IoContext, IoReply, IoResource } from '../../runtime/io/contract.ts';
import type { Position, SourceRecord } from '../../runtime/topology/define.ts';

export async function tempFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'keymill-file-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface Logged {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly text: string;
}

export interface Opened {
  readonly resource: IoResource;
  readonly logged: Logged[];
  /** One drained batch. */
  ask(...asks: unknown[]): Promise<readonly IoReply[]>;
}

/**
 * Opens `file(options)` as an I/O thread would, until the test ends; `first: false` is an opening after the thread was
 * replaced, `reads: false` one that no source reads from.
 */
export async function opened(
  options: FileOptionsInput,
  context: { first?: boolean; reads?: boolean; environment?: Environment } = {},
): Promise<Opened> {
  const logged: Logged[] = [];
  const at = (level: string) => (fields: Record<string, unknown>, text: string) => {
    logged.push({ level, fields, text });
  };
  const io: IoContext = {
    name: 'out',
    dataDir: '',
    reads: context.reads ?? true,
    first: context.first ?? true,
    environment: context.environment ?? systemEnvironment(),
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
  };
  const spec = file(options);
  const resource = await spec.open(spec.options, io);
  onTestFinished(() => resource.close());
  return {
    resource,
    logged,
    ask: async (...asks) => resource.handleBatch(asks, new AbortController().signal),
  };
}

export const append = (path: string, ...records: unknown[]) => ({ op: 'append', path, records });
export const write = (path: string, data: string | Uint8Array) => ({ op: 'write', path, data });

export const DONE: IoReply = { value: undefined };

/** The error of a failed ask; throws where there is none of keymill's. */
export function errorOf(reply: IoReply | undefined): KeymillError {
  if (reply && 'error' in reply && isKeymillError(reply.error)) return reply.error;
  throw new Error(`expected a failed ask, got ${JSON.stringify(reply)}`);
}

/** The error of what must throw. */
export async function thrownBy(run: () => unknown): Promise<KeymillError> {
  try {
    await run();
  } catch (error) {
    if (isKeymillError(error)) return error;
    throw error;
  }
  throw new Error('expected a KeymillError');
}

/** Reads a source of the I/O actor from `from` to its end. */
export async function readAll(
  options: FileOptionsInput,
  read: Record<string, unknown> = {},
  from: Position = 0,
): Promise<SourceRecord[]> {
  const { resource } = await opened(options);
  const records: SourceRecord[] = [];
  for await (const chunk of resource.source!(read).read(from, new AbortController().signal)) records.push(...chunk);
  await resource.close();
  return records;
}

/** What a test says about records: values, and for broken ones the place and the raw text. */
export function picture(records: readonly SourceRecord[]): unknown[] {
  return records.map(({ value, broken }) => (broken ? [broken.code, broken.place.at, value] : value));
}
