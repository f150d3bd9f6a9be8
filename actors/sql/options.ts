/** The options of `sql({ … })` and of `read`: types, checks and the tables in the docs come from these schemas. */
import { z } from 'zod';
import { dataPath, optionReader } from '../../runtime/index.ts';
import { LEASE_MS } from './changes/leader.ts';
import { POLL_MAX_MS, POLL_MIN_MS } from './changes/pause.ts';
import { addressOf, MSSQL, URL_EXPECTED } from './mssql/address.ts';
import { serverShape } from './mssql/server-options.ts';
import { PAGE_ROWS } from './sqlite/changes.ts';

const DAY = 86_400_000;
const SQLITE = 'sqlite:';

export const sqlSchema = z.strictObject({
  url: z.string().superRefine(checkUrl).meta({
    doc: '`sqlite:PATH`: a file, made where it is missing. In the data folder of the topology, unless it begins with `/` or a dot (`./`, `../`: relative to the working directory). `mssql://[USER:PASSWORD@]HOST[:PORT]/DATABASE`, or `mssql://…HOST\\INSTANCE/DATABASE`: a SQL Server.',
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
      doc: 'How long tracked changes are kept; make it longer than the longest outage of who reads them. mssql: only where `track` turns tracking on for the database.',
    }),
  snapshot: z.boolean().default(true).meta({
    doc: 'Read each page of changes in one snapshot; mssql: where the database allows snapshots. Without: nothing is missed, more comes twice.',
  }),
  cursorIdleMs: z
    .number()
    .int()
    .min(100)
    .max(DAY)
    .default(60_000)
    .meta({ doc: 'A row stream that is not asked for its next rows for so long is closed (SQL_CURSOR_LOST).' }),
  ...serverShape,
});

const pollSchema = z
  .strictObject({
    min: z
      .number()
      .min(1)
      .max(DAY)
      .default(POLL_MIN_MS)
      .meta({ doc: 'Shortest time from one look to the next (G6.3).' }),
    max: z.number().min(1).max(DAY).default(POLL_MAX_MS).meta({
      doc: 'Longest; doubled up to it while nothing comes. Looks fall on multiples of it, so those of several tables come together.',
    }),
  })
  .prefault({});

const SHORTEST_LEASE_MS = 200;

const leaderSchema = z
  .strictObject({
    leaseMs: z
      .number()
      .min(SHORTEST_LEASE_MS)
      .max(DAY)
      .default(LEASE_MS)
      .meta({ doc: 'How long a replica leads after its last sign of life: the longest time that nobody reads.' }),
    renewMs: z
      .number()
      .min(10)
      .max(DAY)
      .optional()
      .meta({ doc: 'How often the leader renews its lease, and others look at it. Default: a third of leaseMs.' }),
    in: z
      .union([z.literal('database'), z.strictObject({ redis: z.string().min(1) })])
      .default('database')
      .meta({
        doc: 'Where lease and position are kept: the database that is read, or a `redis` I/O actor by its name.',
      }),
    owner: z
      .string()
      .min(1)
      .max(150)
      .optional()
      .meta({ doc: 'What this replica is called in the log and in the lease. Default: the name of its host.' }),
  })
  .refine(({ leaseMs, renewMs = 0 }) => renewMs <= leaseMs / 2, {
    path: ['renewMs'],
    message: 'expected at most half of leaseMs',
  });

export const readSchema = z.strictObject({
  table: z.string().min(1).meta({ doc: 'The table whose changes are read.' }),
  consumer: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .meta({ doc: 'Name of the bookmark in the database. Default: that of the I/O actor.' }),
  from: z.enum(['tracking', 'cdc']).default('tracking').meta({
    doc: 'mssql: tracking reads by Change Tracking: what each row is now. cdc reads the change tables of CDC: every change, with before and after, some seconds later.',
  }),
  track: z.boolean().default(false).meta({ doc: 'Turn change tracking on where it is off.' }),
  start: z.enum(['resync', 'now']).default('resync').meta({
    doc: 'Where no position is known: read the whole table first, or begin with what changes from now on.',
  }),
  pollMs: pollSchema,
  pageSize: z
    .number()
    .int()
    .min(1)
    .max(100_000)
    .default(PAGE_ROWS)
    .meta({ doc: 'Rows of one page (G6.2); a source holds two pages at most.' }),
  monitorMs: z
    .number()
    .min(100)
    .max(DAY)
    .default(300_000)
    .meta({ doc: 'How often the lag is looked at; more than 10 versions are a warning in the log (G6.8).' }),
  leader: leaderSchema.optional().meta({
    doc: 'Several replicas of the topology read this table: one leads, the others stand by (S11). Goes without `checkpoint`.',
  }),
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
export type LeaderOptions = z.output<typeof leaderSchema>;

export const { check: checkOptions, parse: parseOptions } = optionReader(sqlSchema);

export const { parse: parseRead } = optionReader(readSchema);

/** The path behind `sqlite:`: in the data folder, or where it begins with a dot relative to the working directory. */
export function pathOf(url: string, dataDir: string): string {
  return dataPath(dataDir, pathIn(url));
}

/** A SQL Server is meant. */
export function isServer(url: string): boolean {
  return typeof url === 'string' && url.startsWith(MSSQL);
}

function pathIn(url: string): string {
  return url.slice(SQLITE.length).replace(/^\/\/(?=\/)/, '');
}

function checkUrl(url: string, context: z.RefinementCtx): void {
  if (isServer(url)) {
    if (addressOf(url) === null) context.addIssue(URL_EXPECTED);
  } else if (!url.startsWith(SQLITE) || pathIn(url) === '' || pathIn(url).startsWith(':'))
    context.addIssue('expected sqlite:PATH, with the path of a file, or mssql://HOST/DATABASE');
}
