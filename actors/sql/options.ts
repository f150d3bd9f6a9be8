/** The options of `sql({ … })` and of `read`: types, checks and the tables in the docs come from these schemas. */
import { z } from 'zod';
import { dataPath, optionReader } from '../../runtime/index.ts';
import { POLL_MAX_MS, POLL_MIN_MS } from './changes/pause.ts';
import { PAGE_ROWS } from './sqlite/changes.ts';

const DAY = 86_400_000;
const SQLITE = 'sqlite:';
const LATER = ['mssql:'];

export const sqlSchema = z.strictObject({
  url: z.string().superRefine(checkUrl).meta({
    doc: '`sqlite:PATH`: a file, made where it is missing. In the data folder of the topology, unless it begins with `/` or a dot (`./`, `../`: relative to the working directory).',
  }),
  synchronous: z.enum(['normal', 'full']).default('normal').meta({
    doc: 'SQLite: full syncs every commit, and what was answered survives a power cut; normal survives any death of the process.',
  }),
  busyMs: z.number().int().min(0).max(60_000).default(100).meta({
    doc: 'SQLite: how long a statement waits for a lock of another program before SQL_UNAVAILABLE. All I/O of the thread waits with it.',
  }),
  retentionMs: z
    .number()
    .min(1000)
    .max(365 * DAY)
    .default(2 * DAY)
    .meta({
      doc: 'SQLite: how long tracked changes are kept; make it longer than the longest outage of who reads them.',
    }),
  snapshot: z.boolean().default(true).meta({
    doc: 'SQLite: read each page of changes in one snapshot. Without, as on a SQL Server that allows none: nothing is missed, more comes twice.',
  }),
  cursorIdleMs: z
    .number()
    .int()
    .min(100)
    .max(DAY)
    .default(60_000)
    .meta({ doc: 'A row stream that is not asked for its next rows for so long is closed (SQL_CURSOR_LOST).' }),
});

const pollSchema = z
  .strictObject({
    min: z.number().min(1).max(DAY).default(POLL_MIN_MS).meta({ doc: 'Shortest pause between looks (G6.3).' }),
    max: z
      .number()
      .min(1)
      .max(DAY)
      .default(POLL_MAX_MS)
      .meta({ doc: 'Longest pause; doubled up to it while nothing comes.' }),
  })
  .prefault({});

export const readSchema = z.strictObject({
  table: z.string().min(1).meta({ doc: 'The table whose changes are read.' }),
  consumer: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .meta({ doc: 'Name of the bookmark in the database. Default: that of the I/O actor.' }),
  track: z.boolean().default(false).meta({ doc: 'Turn change tracking on where it is off.' }),
  start: z.enum(['resync', 'now']).default('resync').meta({
    doc: 'Where no position is known: read the whole table first, or begin with what changes from now on.',
  }),
  pollMs: pollSchema,
  pageSize: z.number().int().min(1).max(100_000).default(PAGE_ROWS).meta({ doc: 'Rows of one page (G6.2).' }),
  monitorMs: z
    .number()
    .min(100)
    .max(DAY)
    .default(300_000)
    .meta({ doc: 'How often the lag is looked at; more than 10 versions are a warning in the log (G6.8).' }),
  columns: z.array(z.string()).optional().meta({ doc: 'Columns of `data` beside the key. Default: all.' }),
  filter: z
    .strictObject({
      sql: z.string().meta({ doc: 'The condition.' }),
      params: z.record(z.string(), z.any()).optional().meta({ doc: 'Values of its parameters @name.' }),
    })
    .optional()
    .meta({ doc: 'A condition in SQL on the row `t`; deletes always pass. Use columns that do not change.' }),
  versionSelect: z.string().optional().meta({ doc: 'SQL in place of the version of a change `ct` (G6.2).' }),
  operationSelect: z.string().optional().meta({ doc: 'SQL in place of its operation: I, U or D (G6.2).' }),
  before: z.string().optional().meta({ doc: 'A statement that runs before each page (G6.2).' }),
});

export type SqlOptions = z.output<typeof sqlSchema>;
export type SqlOptionsInput = z.input<typeof sqlSchema>;
export type ReadSettings = z.output<typeof readSchema>;

export const { check: checkOptions, parse: parseOptions } = optionReader(sqlSchema);

export const { parse: parseRead } = optionReader(readSchema);

/** The path behind `sqlite:`: in the data folder, or where it begins with a dot relative to the working directory. */
export function pathOf(url: string, dataDir: string): string {
  return dataPath(dataDir, pathIn(url));
}

function pathIn(url: string): string {
  return url.slice(SQLITE.length).replace(/^\/\/(?=\/)/, '');
}

function checkUrl(url: string, context: z.RefinementCtx): void {
  if (LATER.some(scheme => url.startsWith(scheme)))
    context.addIssue('this version has no driver for SQL Server yet; use sqlite:PATH');
  else if (!url.startsWith(SQLITE) || pathIn(url) === '' || pathIn(url).startsWith(':'))
    context.addIssue('expected sqlite:PATH, with the path of a file');
}
