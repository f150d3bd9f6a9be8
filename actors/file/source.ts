/**
 * The source half: reads one file, or stdin, record by record. The position of a record is its index in the file:
 * blank lines and the CSV header do not count, broken records do. Reading from a later position reads the bytes before
 * it again and parses none of them.
 *
 * A file is replayable, ordered and contiguous. Stdin, and a path that leads to a named pipe, is not replayable: what was
 * read is gone, so records are numbered on from where reading starts, and a line cut by an abort is lost.
 */
import { statSync } from 'node:fs';
import { KeymillError, type SourceHalf, type SourceRecord, type SourceTraits } from '../../runtime/index.ts';
import { bytesOf } from './bytes.ts';
import type { Format } from './contract.ts';
import { CsvReader } from './csv.ts';
import { inputFault } from './faults.ts';
import { JsonArrayReader } from './json-array.ts';
import { MarkMaker, recogniseFile } from './mark.ts';
import { NdjsonReader } from './ndjson.ts';
import { type FileOptions, parseRead } from './options.ts';
import { fileAt, formatOf, leadsOut, type Place, STDIO } from './place.ts';
import type { ReaderOptions, RecordReader } from './records.ts';

/** Records given at once, at most. They stem from one chunk of bytes (64 KiB) and what was left of the one before. */
const CHUNK_RECORDS = 256;

/** `name` is the I/O actor's, for errors. Throws CONFIG_INVALID; reading throws SOURCE_MISSING, RECORD_BROKEN, IO_FAILED. */
export function fileSource(
  name: string,
  place: Place,
  options: FileOptions,
  said: Record<string, unknown>,
): SourceHalf {
  const file = sourceFile(name, place, said);
  const format = formatOf(file, options.format);
  const replayable = file !== STDIO && isReplayable(file);
  const traits: SourceTraits = { replayable, ordered: true, contiguous: true };
  let marks = new MarkMaker(file);
  return {
    traits,
    async *read(from, signal) {
      const mine = new MarkMaker(file);
      marks = mine;
      const reader = readerOf(format, {
        file: file === STDIO ? 'stdin' : file,
        base: replayable ? 0 : from,
        from,
        maxLineBytes: options.maxLineBytes,
        csv: options.csv,
      });
      for await (const chunk of guarded(place, file, signal)) {
        mine.push(chunk);
        yield* portions(reader.push(chunk), signal);
      }
      if (!signal.aborted) yield* portions(mine.end(reader), signal);
    },
    mark: () => marks.mark(),
    async recognise(mark) {
      try {
        return await recogniseFile(file, mark);
      } catch (error) {
        throw inputFault(error, file);
      }
    },
  };
}

export function readerOf(format: Format, options: ReaderOptions): RecordReader {
  if (format === 'csv') return new CsvReader(options);
  return format === 'json' ? new JsonArrayReader(options) : new NdjsonReader(options);
}

/** The file that `read` of a source entry means. Throws CONFIG_INVALID. */
export function sourceFile(name: string, place: Place, said: Record<string, unknown>): string {
  const at = `read of ${name}`;
  const { path } = parseRead(said, at);
  if (place.kind === 'folder' && path === undefined)
    throw new KeymillError('CONFIG_INVALID', `${at}.path: say which file of the folder ${place.path}`, {
      place: { at },
    });
  try {
    return fileAt(place, path ?? '');
  } catch (cause) {
    throw new KeymillError('CONFIG_INVALID', `${at}.path: ${JSON.stringify(path)} is not a file of ${place.path}`, {
      cause,
      place: { at },
    });
  }
}

/** A file can be read again; a pipe cannot. A path that is not there, or not yet, counts as a file. */
function isReplayable(file: string): boolean {
  try {
    return !statSync(file).isFIFO();
  } catch {
    return true;
  }
}

/** The bytes of the file, with the system's errors turned into keymill's. */
async function* guarded(place: Place, file: string, signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
  try {
    if (await leadsOut(place, file)) throw outOf(place, file);
    yield* bytesOf(file, signal);
  } catch (error) {
    throw inputFault(error, file === STDIO ? 'stdin' : file);
  }
}

export function outOf(place: Place, file: string): KeymillError {
  return new KeymillError('SOURCE_MISSING', `a link in ${file} leaves the folder ${place.path}`, {
    place: { at: file },
  });
}

function* portions(records: SourceRecord[], signal: AbortSignal): Generator<SourceRecord[], void, void> {
  for (let at = 0; at < records.length && !signal.aborted; at += CHUNK_RECORDS)
    yield records.length <= CHUNK_RECORDS ? records : records.slice(at, at + CHUNK_RECORDS);
}
