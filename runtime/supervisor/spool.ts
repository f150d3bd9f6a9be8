/** Tells that a drain abandoned, kept on disk and told again at the next start (rule 17). */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AppendLog, keyFromJson, keyToJson } from '../delivery/append-log.ts';
import { packValue, unpackValue } from '../lanes/frame.ts';
import type { Key } from '../topology/define.ts';

export interface SpooledTell {
  actor: string;
  key: Key;
  message: unknown;
}

const spoolPath = (dataDir: string): string => join(dataDir, 'spool.ndjson');

/** Writes all or throws OUTPUT_UNWRITABLE, OUTPUT_FULL or IO_FAILED. */
export async function writeSpool(dataDir: string, tells: readonly SpooledTell[]): Promise<void> {
  if (tells.length === 0) return;
  const log = await AppendLog.open(spoolPath(dataDir), () => undefined);
  try {
    await log.append(
      tells.map(tell =>
        JSON.stringify({
          v: 1,
          actor: tell.actor,
          key: keyToJson(tell.key),
          packed: Buffer.from(packValue(tell.message)).toString('base64'),
        }),
      ),
    );
  } finally {
    await log.close();
  }
}

/** What an earlier process left, in order. `forget` removes the file once all of it was told. */
export async function readSpool(dataDir: string): Promise<{ tells: SpooledTell[]; forget: () => Promise<void> }> {
  const tells: SpooledTell[] = [];
  const log = await AppendLog.open(spoolPath(dataDir), line => {
    const stored = JSON.parse(line);
    tells.push({
      actor: stored.actor,
      key: keyFromJson(stored.key),
      message: unpackValue(Buffer.from(stored.packed, 'base64')),
    });
  });
  await log.close();
  return { tells, forget: () => rm(spoolPath(dataDir), { force: true }) };
}
