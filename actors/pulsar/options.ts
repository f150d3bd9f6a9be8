/** The options of `pulsar({ … })` and of `read` of its sources: types, checks and the tables in the docs come from here. */
import { z } from 'zod';
import { optionReader } from '../../runtime/index.ts';
import { urlFault } from './place.ts';
import { serverShape } from './server-options.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const TiB = 1024 * GiB;
const DAY = 86_400_000;

const ms = (max: number) => z.number().min(0).max(max);
const bytes = (max: number) => z.number().int().min(0).max(max);

export const pulsarSchema = z.strictObject({
  url: z
    .string()
    .superRefine((url, context) => {
      const message = urlFault(url);
      if (message !== undefined) context.addIssue({ code: 'custom', message });
    })
    .meta({
      doc: '`memory:` for a bus that lives as long as its thread, file:PATH for one that lasts, or `pulsar://HOST:PORT`, `pulsar+ssl://HOST:PORT` (several hosts with commas) for a Pulsar. PATH is a file, or a folder if it ends in / or has no extension; in the data folder, or the working directory where it begins with a dot.',
    }),
  fsync: z.enum(['batch', 'none']).default('batch').meta({
    doc: 'file: when a publish or acknowledgement must be on the disk. batch: before it is answered, one sync for all that wait. none: when the system likes; a power cut may lose the last ones, a kill of the process does not.',
  }),
  maxBytes: bytes(64 * TiB)
    .optional()
    .meta({
      doc: 'Largest size of the bus; publishes then wait with OUTPUT_FULL until messages are dropped. 0 is no bound. Default 1 GiB for memory:, none for file:.',
    }),
  maxMessageBytes: z
    .number()
    .int()
    .min(KiB)
    .max(512 * MiB)
    .default(5 * MiB)
    .meta({ doc: "Largest message with its key and properties (Pulsar's default)." }),
  autoCreate: z.boolean().default(true).meta({
    doc: 'Makes a topic that is missing when it is used, without partitions. Otherwise using it fails with TOPIC_MISSING.',
  }),
  deduplication: z.boolean().default(false).meta({
    doc: 'Drops messages whose sequence id is not above the highest that the topic has of the producer. Give producers names.',
  }),
  retention: z
    .strictObject({
      ms: ms(3650 * DAY)
        .default(DAY)
        .meta({ doc: 'Age at which acknowledged messages are dropped.' }),
      bytes: bytes(64 * TiB)
        .default(256 * MiB)
        .meta({ doc: 'Size of a topic above which its oldest acknowledged messages are dropped.' }),
    })
    .prefault({})
    .meta({
      doc: 'How long messages are kept that all subscriptions have acknowledged, or that no subscription is there for. What is not acknowledged is always kept.',
    }),
  producerName: z.string().min(1).max(255).optional().meta({
    doc: 'Name of its producers, for deduplication; made up when left out. Two processes must not share one.',
  }),
  producerIdleMs: z.number().min(1000).max(DAY).default(300_000).meta({
    doc: 'A producer that was not used for so long is closed; the next publish makes another.',
  }),
  topics: z
    .record(
      z.string().min(1),
      z.strictObject({
        partitions: z.number().int().min(1).max(1000).optional().meta({ doc: 'How many; 1 is a topic without.' }),
        rate: ms(10_000_000).optional().meta({
          doc: 'Expected messages a second. Decides the partitions where they are not said: 1 up to 1000/s, 4 up to 10,000/s, 8 above.',
        }),
        retention: z
          .strictObject({ ms: ms(3650 * DAY), bytes: bytes(64 * TiB) })
          .optional()
          .meta({
            doc: 'pulsar: how long acknowledged messages of this topic are kept, instead of as its namespace says.',
          }),
      }),
    )
    .default({})
    .meta({
      doc: 'Topics that are to be there, by name (`{service}-{event-type}`), for `keymill topics check` and `apply`.',
    }),
  ...serverShape,
  consumerIdleMs: z.number().min(1000).max(DAY).default(60_000).meta({
    doc: 'A loop over consume() or read() that did not ask for so long is taken for gone: its consumer is closed, and its messages are given again. Longer than the handling of any one message.',
  }),
});

export const readSchema = z.strictObject({
  topic: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).meta({ doc: 'One topic, or several.' }),
  subscription: z.string().min(1).meta({ doc: 'The subscription whose messages are the records.' }),
  type: z.enum(['Exclusive', 'Shared', 'Failover', 'Key_Shared']).default('Key_Shared').meta({
    doc: 'How several consumers share it. All but Shared keep order: of a partition, or of a key.',
  }),
  initialPosition: z.enum(['Earliest', 'Latest']).default('Latest').meta({
    doc: 'Where a new subscription starts.',
  }),
  prefetch: z.number().int().min(1).max(50_000).default(1000).meta({ doc: 'Messages given ahead.' }),
  as: z.enum(['message', 'json']).default('message').meta({
    doc: 'A record is the whole message, or its payload parsed; what is not JSON is a broken record.',
  }),
  untilEnd: z.boolean().default(false).meta({
    doc: 'Ends the source when nothing came and nothing settled for idleMs, and nothing is open.',
  }),
  idleMs: ms(DAY).default(1000).meta({ doc: 'With untilEnd: how long it must be quiet.' }),
  deadLetter: z
    .strictObject({
      maxRedeliver: z
        .number()
        .int()
        .min(0)
        .max(1_000_000)
        .default(3)
        .meta({ doc: 'Redeliveries before a message is dead.' }),
      topic: z.string().min(1).optional().meta({ doc: 'Where it goes; default `{topic}-{subscription}-DLQ`.' }),
    })
    .optional()
    .meta({
      doc: "Dead letters of the subscription. keymill's own need none: what it gives up goes to its dead letters.",
    }),
});

export type TopicDeclaration = z.output<typeof pulsarSchema>['topics'][string];
export type PulsarOptions = z.output<typeof pulsarSchema>;
export type PulsarOptionsInput = z.input<typeof pulsarSchema>;
export type ReadOptions = z.output<typeof readSchema>;

export const { check: checkOptions, parse: parseOptions } = optionReader(pulsarSchema);

export const { parse: parseRead } = optionReader(readSchema);

/** Largest size of the whole bus, 0 for no bound. */
export function maxBytesOf({ url, maxBytes }: PulsarOptions): number {
  return maxBytes ?? (url === 'memory:' ? GiB : 0);
}
