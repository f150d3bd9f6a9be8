/** The options of `redis({ … })`: types, checks and the tables in the docs come from this schema. */
import { z } from 'zod';
import { optionReader } from '../../runtime/index.ts';
import type { RedisRead } from './contract.ts';
import { urlProblem } from './place.ts';
import { refuseMixed, serverShape } from './server/server-options.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const life = () =>
  z
    .number()
    .min(0)
    .max(3650 * DAY);

const shape = z.strictObject({
  url: z
    .string()
    .superRefine((url, ctx) => {
      const message = urlProblem(url);
      if (message !== null) ctx.addIssue({ code: 'custom', message });
    })
    .meta({
      doc: 'memory: is a store that is empty at each start. file:PATH is one that is kept in a file, of one process; relative to the working directory. redis://[USER:PASSWORD@]HOST[:PORT][/DB] is a server; redis+sentinel://HOST,HOST/MASTER the master that sentinels name; redis+cluster://HOST,HOST a cluster. rediss:, rediss+sentinel: and rediss+cluster: are the same with TLS, to sentinels too.',
    }),
  ttlMs: life().default(HOUR).meta({ doc: 'Life of a value where the call says nothing; 0 for ever.' }),
  fieldsTtlMs: life()
    .default(7 * DAY)
    .meta({
      doc: 'Life of a hash with versions where the call says nothing; 0 for ever. Tombstones live twice as long.',
    }),
  versionsMs: z
    .number()
    .min(1000)
    .max(3650 * DAY)
    .default(7 * DAY)
    .meta({
      doc: 'How long after its last write a version is known at least, though its value has expired, and the token of a lease after its end. Must be longer than the longest redelivery.',
    }),
  maxValueBytes: z
    .number()
    .int()
    .min(KiB)
    .max(512 * MiB)
    .default(10 * MiB)
    .meta({ doc: 'Largest value, field or message; a larger one is REDIS_VALUE_TOO_LARGE.' }),
  maxMemoryBytes: z
    .number()
    .int()
    .min(64 * KiB)
    .max(2048 * MiB)
    .default(256 * MiB)
    .meta({
      doc: 'What the embedded store may hold, counted with two bytes a character and 160 to 400 a key: then writes that need more are OUTPUT_FULL, and nothing is evicted.',
    }),
  fsync: z.enum(['batch', 'none']).default('batch').meta({
    doc: 'file: only. batch: what was answered is on the disk. none: it survives the death of the process, and a power cut takes the last of it.',
  }),
  subscriber: z
    .strictObject({
      maxMessages: z
        .number()
        .int()
        .min(1)
        .max(1_000_000)
        .default(1000)
        .meta({ doc: 'Messages that may wait for one subscriber; those beyond are lost, and it is told how many.' }),
      maxBytes: z
        .number()
        .int()
        .min(KiB)
        .max(1024 * MiB)
        .default(16 * MiB)
        .meta({ doc: 'Their bytes; a single larger message may wait alone.' }),
    })
    .prefault({})
    .meta({ doc: 'What a slow subscriber may leave waiting.' }),
  ...serverShape,
});

export const redisSchema = shape.superRefine(refuseMixed);

export const readSchema = z
  .strictObject({
    channel: z.string().optional().meta({ doc: 'The channel that is heard.' }),
    pattern: z.string().optional().meta({ doc: 'Or the channels that are, by a glob: `*`, `?`, `[abc]`.' }),
  })
  .refine(({ channel, pattern }) => (channel === undefined) !== (pattern === undefined), {
    error: 'expected one of channel and pattern',
  });

export type RedisOptions = z.output<typeof redisSchema>;
export type RedisOptionsInput = z.input<typeof redisSchema>;

export const { check: checkOptions, parse: parseOptions } = optionReader(redisSchema);

const reader = optionReader(readSchema);

/** Throws CONFIG_INVALID. */
export function parseRead(read: Record<string, unknown>, at: string): RedisRead {
  const { channel, pattern } = reader.parse(read, at);
  return channel === undefined ? { pattern: pattern! } : { channel };
}
