/**
 * Tells that a drain abandoned, kept on disk and told again at the next start (rule 17). The file goes when all of them
 * have settled; what is left of them at a drain, and what that abandons, take its place.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AppendLog, keyFromJson, keyToJson } from '../delivery/append-log.ts';
import { replaceFile } from '../delivery/replace-file.ts';
import { asError, isKeymillError, KeymillError, toWire } from '../errors.ts';
import { packValue, unpackValue } from '../lanes/value.ts';
import type { Key, Log } from '../topology/define.ts';
import type { Tells } from './tells.ts';

export interface SpooledTell {
  actor: string;
  key: Key;
  message: unknown;
}

const spoolPath = (dataDir: string): string => join(dataDir, 'spool.ndjson');

export class Spool {
  readonly #dataDir: string;
  readonly #tells: Tells;
  readonly #log: Log;
  /** Told again and not settled, in their order. */
  readonly #open = new Set<SpooledTell>();
  #removing: Promise<void> = Promise.resolve();
  #closed = false;

  /** `tells`: a way in of its own, so that what it tells is told apart. */
  constructor(dataDir: string, tells: Tells, log: Log) {
    this.#dataDir = dataDir;
    this.#tells = tells;
    this.#log = log;
  }

  /** Tells what an earlier process had to abandon. All of it stands in line, in order, when this resolves. */
  async retell(): Promise<void> {
    const tells = await readSpool(this.#dataDir);
    for (const tell of tells) this.#open.add(tell);
    // One after the other without a pause: whatever is told later stands behind them.
    for (const tell of tells) void this.#retell(tell);
    if (tells.length > 0) this.#log.info({ tells: tells.length }, 'telling again what the last run had spooled');
    else this.#removing = removeSpool(this.#dataDir);
  }

  async #retell(tell: SpooledTell): Promise<void> {
    try {
      await this.#tells.tell(tell.actor as never, tell.message, { until: 'settled', waitMs: Number.POSITIVE_INFINITY });
    } catch (error) {
      if (isKeymillError(error, 'RUNTIME_STOPPED')) return;
      // Dead or dropped is settled, too. Anything else was refused at once.
      if (!isKeymillError(error, 'ASK_REJECTED') && !isKeymillError(error, 'MAILBOX_FULL'))
        return this.#log.error(
          { actor: tell.actor, err: toWire(error) },
          'a spooled tell was refused; it stays spooled',
        );
    }
    this.#open.delete(tell);
    if (this.#open.size === 0 && !this.#closed)
      this.#removing = removeSpool(this.#dataDir).catch((error: unknown) =>
        this.#log.error({ err: toWire(error) }, 'the spool was not removed: its tells will be told again'),
      );
  }

  /** Ends with what is open and `abandoned` in the file, or without one. Returns how many. Throws OUTPUT_FULL, IO_FAILED. */
  async close(abandoned: readonly SpooledTell[]): Promise<number> {
    this.#closed = true;
    await this.#removing;
    const tells = [...this.#open, ...abandoned];
    if (tells.length > 0) await writeSpool(this.#dataDir, tells);
    else await removeSpool(this.#dataDir);
    return tells.length;
  }
}

/** Writes all in place of what was there, or throws OUTPUT_FULL or IO_FAILED and leaves that. */
async function writeSpool(dataDir: string, tells: readonly SpooledTell[]): Promise<void> {
  const path = spoolPath(dataDir);
  try {
    await replaceFile(path, lines(tells));
  } catch (cause) {
    const full = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
    throw new KeymillError(full ? 'OUTPUT_FULL' : 'IO_FAILED', `${path}: ${asError(cause).message}`, {
      cause,
      place: { at: path },
    });
  }
}

/** What an earlier process left, in order. */
async function readSpool(dataDir: string): Promise<SpooledTell[]> {
  const tells: SpooledTell[] = [];
  const log = await AppendLog.open(spoolPath(dataDir), line => tells.push(decode(line)));
  await log.close();
  return tells;
}

function removeSpool(dataDir: string): Promise<void> {
  return rm(spoolPath(dataDir), { force: true });
}

function* lines(tells: readonly SpooledTell[]): Generator<string> {
  for (const { actor, key, message } of tells) {
    const packed = Buffer.from(packValue(message)).toString('base64');
    yield JSON.stringify({ v: 1, actor, key: keyToJson(key), packed });
  }
}

function decode(line: string): SpooledTell {
  const { actor, key, packed } = JSON.parse(line);
  return { actor, key: keyFromJson(key), message: unpackValue(Buffer.from(packed, 'base64')) };
}
