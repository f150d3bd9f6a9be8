/** The `file` I/O actor: NDJSON, CSV and JSON arrays in files and folders; `-` is stdin and stdout. */
import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { IoSpec } from '../../runtime/index.ts';
import { clientOf, type FileClient, keyOf } from './contract.ts';
import { outputFault } from './faults.ts';
import { checkOptions, type FileOptionsInput, parseOptions } from './options.ts';
import { type Place, placeOf } from './place.ts';
import { FileResource } from './sink.ts';

export type { FileClient, FileOp, FileRead, Format } from './contract.ts';
export { type FileOptions, type FileOptionsInput, fileSchema } from './options.ts';

/**
 * Makes the I/O actor for a topology's `io`: `file({ url: './out', mode: 'truncate' })`. Handlers write through
 * `ctx.io<FileClient>(name)`; sources read with `{ from: name, read: { path: 'x.ndjson' } }`.
 * Wrong options are reported by `check`, and by `open` with CONFIG_INVALID.
 */
export function file(options: FileOptionsInput): IoSpec<FileClient> {
  return {
    kind: 'file',
    options: { ...options },
    check: checkOptions,
    key: keyOf,
    async open(given, context) {
      const parsed = parseOptions(given, `io.${context.name}`);
      const place = await placeOf(parsed.url);
      if (!context.reads) await makeWritable(place);
      return new FileResource(place, parsed, context);
    },
    client: clientOf,
  };
}

/** An output that cannot be written must stop the start, not the first message. Throws OUTPUT_UNWRITABLE. */
async function makeWritable(place: Place): Promise<void> {
  if (place.kind === 'stdio') return;
  const folder = place.kind === 'folder' ? place.path : dirname(place.path);
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw outputFault(error, folder);
  }
}
