/** The options of `file({ … })`: types, checks and the tables in the docs come from this schema. */
import { z } from 'zod';
import { optionReader } from '../../runtime/index.ts';
import { FORMATS } from './contract.ts';
import { pathOf } from './place.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const DAY = 86_400_000;

export const fileSchema = z.strictObject({
  url: z.string().refine(isFileUrl, 'expected file:PATH, a path, or - for stdin and stdout').meta({
    doc: 'file:PATH, a path, or `-` for stdin and stdout. PATH is a file or a folder; one that does not exist yet is a folder if it ends in / or has no extension. Relative to the working directory.',
  }),
  format: z.enum(FORMATS).optional().meta({
    doc: 'Format of all its files. Default by extension: .csv, .json (one array, reading only), anything else and `-` are ndjson.',
  }),
  mode: z.enum(['append', 'truncate']).default('append').meta({
    doc: 'append: go on at the end of what is there. truncate: empty each output file once, when this process first opens it.',
  }),
  fsync: z
    .union([z.enum(['none', 'batch']), z.strictObject({ everyMs: z.number().min(1).max(DAY) })], {
      error: 'expected none, batch or { everyMs: 1 to 86400000 }',
    })
    .default('batch')
    .meta({
      doc: 'When bytes must be on the disk. batch: before the asks of a drained batch are answered, one fsync per file. everyMs: that often, after the answer. none: when the system likes.',
    }),
  maxLineBytes: z
    .number()
    .int()
    .min(16)
    .max(256 * MiB)
    .default(8 * MiB)
    .meta({
      doc: 'Longest line, row or array element that is read; a longer one is a broken record and is skipped, not held.',
    }),
  maxOpenFiles: z.number().int().min(1).max(65_536).default(64).meta({
    doc: 'Output files kept open; the one idle longest is closed for the next.',
  }),
  csv: z
    .strictObject({
      delimiter: z
        .string()
        .regex(/^[\t\x20-\x7e]$/, 'expected one ASCII character')
        .refine(text => text !== '"', 'the quote cannot be the delimiter')
        .default(',')
        .meta({ doc: 'What stands between the fields of a row.' }),
      header: z.boolean().default(true).meta({
        doc: 'The first row names the columns and records are objects. Without it records are arrays.',
      }),
    })
    .prefault({})
    .meta({ doc: 'How CSV is read and written (RFC 4180).' }),
});

export const readSchema = z.strictObject({
  path: z.string().min(1).optional().meta({ doc: 'The file in the folder that the url names.' }),
});

export type FileOptions = z.output<typeof fileSchema>;
export type FileOptionsInput = z.input<typeof fileSchema>;

export const { check: checkOptions, parse: parseOptions } = optionReader(fileSchema);

export const { parse: parseRead } = optionReader(readSchema);

function isFileUrl(url: string): boolean {
  try {
    pathOf(url);
    return true;
  } catch {
    return false;
  }
}
