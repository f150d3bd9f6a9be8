/** The `file` I/O actor: NDJSON, CSV and JSON arrays in files and folders; `-` is stdin and stdout. */
import type { IoSpec } from '../../runtime/io/contract.ts';
import { clientOf, type FileClient, keyOf } from './contract.ts';
import { checkOptions, type FileOptionsInput, parseOptions } from './options.ts';
import { placeOf } from './place.ts';
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
      return new FileResource(await placeOf(parsed.url), parsed, context);
    },
    client: clientOf,
  };
}
