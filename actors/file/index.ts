/** The `file` I/O actor: NDJSON, CSV and JSON arrays in files and folders; `-` is stdin and stdout. */
import { DEFAULT_IO_POLICY, type IoSpec } from '../../runtime/index.ts';
import { clientOf, type FileClient, keyOf } from './contract.ts';
import { checkOptions, type FileOptionsInput, parseOptions } from './options.ts';
import { placeOf, STDIO } from './place.ts';
import { checkReadable, checkWritable, makeWritable } from './rehearse.ts';
import { FileResource } from './sink.ts';

export type { FileClient, FileOp, FileRead, Format } from './contract.ts';
export { type FileOptions, type FileOptionsInput, fileSchema } from './options.ts';

/** A look at a file system costs next to nothing: an open breaker need not wait a minute for the next. */
const FILE_POLICY = { ...DEFAULT_IO_POLICY, breaker: { openMs: 1000 } };

/**
 * Makes the I/O actor for a topology's `io`: `file({ url: './out', mode: 'truncate' })`. Handlers write through
 * `ctx.io<FileClient>(name)`; sources read with `{ from: name, read: { path: 'x.ndjson' } }`.
 * Wrong options are reported by `check`, and by `open` with CONFIG_INVALID.
 */
export function file(options: FileOptionsInput): IoSpec<FileClient> {
  return {
    kind: 'file',
    policy: FILE_POLICY,
    options: { ...options },
    check: checkOptions,
    traits: ({ url }) => ({ ordered: true, ...(url === STDIO ? { replayable: false } : {}) }),
    key: keyOf,
    async open(given, context) {
      const parsed = parseOptions(given, `io.${context.name}`);
      const place = await placeOf(parsed.url);
      if (!context.reads) await makeWritable(place);
      return new FileResource(place, parsed, context);
    },
    async rehearse(given, read, name) {
      const place = await placeOf(parseOptions(given, `io.${name}`).url);
      if (read === null) await checkWritable(place);
      else await checkReadable(name, place, read);
    },
    client: clientOf,
  };
}
