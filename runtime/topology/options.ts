/**
 * The one options schema. Types, checks with path and allowed range, and the tables in docs/reference/options.md all
 * come from here. An option exists when a test and the docs show it. Names carry their unit (`flushMs`, `maxBytes`).
 */
import { z } from 'zod';

const KiB = 1024;
const MiB = 1024 * KiB;

const count = (min: number, max: number) => z.number().int().min(min).max(max);
const ms = (max: number) => z.number().min(0).max(max);
const DAY = 86_400_000;

export const FULL_MODES = ['Wait', 'DropOldest', 'DropNewest', 'DropWrite'] as const;
export type FullMode = (typeof FULL_MODES)[number];

export const mailboxSchema = z
  .strictObject({
    maxMessages: count(1, 10_000_000).default(10_000).meta({ doc: 'Messages one key may hold (G9.7: 10,000).' }),
    maxBytes: count(KiB, 4096 * MiB)
      .default(16 * MiB)
      .meta({ doc: 'Bytes one key may hold.' }),
    full: z.enum(FULL_MODES).default('Wait').meta({
      doc: 'What happens at the bound. Wait: senders wait. DropOldest: the oldest message not started goes. DropNewest: the last one queued goes. DropWrite: the arriving one goes.',
    }),
    waitMs: ms(DAY).default(30_000).meta({ doc: 'How long `tell` and `ask` wait for room before MAILBOX_FULL.' }),
    allowLoss: z.boolean().default(false).meta({
      doc: 'Lets drop modes drop messages of acked sources and children too. Without it only tells are dropped and others wait.',
    }),
  })
  .prefault({});

export const batchSchema = z
  .strictObject({
    strategy: z.enum(['eightyPercent', 'fixed', 'doubling']).default('eightyPercent').meta({
      doc: 'How much of the mailbox one batch takes. eightyPercent: up to 800 below a depth of 1000, else floor(drainRatio × depth).',
    }),
    drainRatio: z
      .number()
      .min(0.5)
      .max(0.95)
      .default(0.8)
      .meta({ doc: 'Share of a deep mailbox that one batch takes (G9.2: 0.5 to 0.95).' }),
    max: count(1, 100_000).default(4096).meta({ doc: 'Most messages in one batch, whatever the strategy says.' }),
    maxBytes: count(KiB, 1024 * MiB)
      .default(4 * MiB)
      .meta({ doc: 'Most bytes in one batch; a single larger message still makes a batch of one.' }),
    flushMs: ms(DAY)
      .optional()
      .meta({ doc: 'How long a shallow mailbox waits for more. Default 200 for handleBatch, 0 for handle.' }),
    across: z.enum(['key', 'keys']).default('key').meta({
      doc: '`keys` mixes the keys of one host into a batch (each key stays in order). It couples them: a failing item holds back its batch.',
    }),
  })
  .prefault({});

export const retrySchema = z
  .strictObject({
    kind: z.enum(['exponential', 'fixed']).default('exponential').meta({ doc: 'Shape of the delays.' }),
    attempts: count(1, 1000)
      .default(6)
      .meta({ doc: 'Calls of the handler for one message, the first included, before it is dead.' }),
    delayMs: ms(DAY).default(100).meta({ doc: 'First delay.' }),
    factor: z.number().min(1).max(10).default(2).meta({ doc: 'Growth of the delay.' }),
    maxDelayMs: ms(DAY).default(30_000).meta({ doc: 'Longest delay.' }),
    jitter: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .meta({ doc: 'Share of each delay that is random: the delay is between (1 - jitter) and 1 times its length.' }),
  })
  .prefault({});

export const superviseSchema = z
  .strictObject({
    onError: z.enum(['resume', 'restart', 'stop', 'escalate']).default('resume').meta({
      doc: 'What a failed handler call does to the actor, besides the retry of the message. resume: nothing. restart: the state of the key is made anew. stop: the actor takes no more turns and the runtime is not ready. escalate: the runtime stops with exit code 1.',
    }),
    maxRestarts: count(0, 1_000_000)
      .default(100)
      .meta({ doc: 'Restarts of an actor within withinMs before it escalates.' }),
    withinMs: ms(DAY).default(60_000).meta({ doc: 'The window of maxRestarts.' }),
  })
  .prefault({});

export const PRESETS = {
  steady: { batch: { max: 500, flushMs: 1000 } },
  bursty: { batch: { max: 100, flushMs: 100 }, mailbox: { full: 'DropOldest' } },
  'low-volume': { batch: { max: 50, flushMs: 100 } },
  'high-volume': { batch: { max: 5000, flushMs: 5000 }, mailbox: { full: 'Wait' } },
  realtime: { batch: { max: 10, flushMs: 50 } },
  api: { batch: { max: 100, flushMs: 200 } },
  bulk: { batch: { max: 8000, flushMs: 5000 }, mailbox: { maxMessages: 10_000, full: 'Wait' } },
  iot: { batch: { max: 1000, flushMs: 200 }, mailbox: { maxMessages: 5000, full: 'DropOldest' }, priority: 0 },
} as const;
export type Preset = keyof typeof PRESETS;

export const actorSchema = z.strictObject({
  preset: z
    .enum(Object.keys(PRESETS) as [Preset, ...Preset[]])
    .optional()
    .meta({ doc: 'Start from the figures of one of the workloads of G9.7; options beside it win.' }),
  mailbox: mailboxSchema,
  batch: batchSchema,
  retry: retrySchema,
  supervise: superviseSchema,
  priority: count(0, 7)
    .default(4)
    .meta({ doc: 'Priority of its messages, 0 first. Orders the turns of keys, never the messages of one key.' }),
  onKeyFull: z.enum(['stall', 'park', 'dead']).default('stall').meta({
    doc: 'When a key holds its share (an eighth of the window) or a full Wait mailbox. stall: senders of that key wait. park: what arrives is spilled, in order, to a durable file and acked. dead: what arrives goes to the dead letters.',
  }),
  onDead: z.enum(['skip', 'parkKey', 'stop']).default('skip').meta({
    doc: 'After a message died. skip: its key goes on. parkKey: its key is paused until resumed. stop: the actor is stopped.',
  }),
  concurrency: count(1, 65_536)
    .default(1024)
    .meta({ doc: 'Batches of this actor in flight at once on one host (G: LimitedTaskExecutionStrategy).' }),
  rate: z
    .strictObject({
      messages: count(1, 10_000_000).meta({ doc: 'Messages of one key per perMs.' }),
      perMs: ms(DAY).default(1000).meta({ doc: 'The interval of the limit.' }),
    })
    .optional()
    .meta({ doc: 'Rate limit per key.' }),
  timeoutMs: ms(DAY).default(60_000).meta({
    doc: 'Longest time of one handler call; 0 means none. Then ctx.signal is aborted and the call counts as failed.',
  }),
  zombieMs: ms(DAY)
    .default(60_000)
    .meta({ doc: 'How long after its time-out a handler may linger before its host is recycled; 0 means for ever.' }),
  sends: z.array(z.string()).optional().meta({
    doc: 'Names of the actors it sends to or asks. Optional; with it `check` can find cycles, and a send to any other fails.',
  }),
  uses: z.array(z.string()).optional().meta({
    doc: 'Names of the I/O actors it uses. Optional; otherwise learned from the first use. Tells which sources an open breaker pauses.',
  }),
  maxSends: count(1, 10_000_000).default(10_000).meta({ doc: 'Messages one batch may send.' }),
  maxMessageBytes: count(16, 1024 * MiB)
    .default(8 * MiB)
    .meta({ doc: 'Largest encoded message.' }),
  persist: z
    .strictObject({
      in: z.string().meta({ doc: 'The I/O actor that keeps the states, for example a `redis` one.' }),
      restore: z.enum(['lazy', 'eager']).default('lazy').meta({
        doc: 'lazy: a state is read when its key gets a message. eager: all are read at the start.',
      }),
    })
    .optional()
    .meta({
      doc: 'Keeps the state of each key in a store, written before its messages settle, so that it outlives crashes and what comes again is counted once (E12).',
    }),
  passivateMs: ms(365 * DAY)
    .default(300_000)
    .meta({
      doc: 'Idle time after which a key leaves memory with its state; it may be up to twice that for a key used for long.',
    }),
  maxResident: count(1, 100_000_000).default(250_000).meta({
    doc: 'Keys with state that one host keeps; beyond it one is passivated that has been idle for about the longest.',
  }),
});

export const windowSchema = z
  .strictObject({
    messages: count(8, 100_000_000)
      .default(81_920)
      .meta({ doc: 'Unsettled messages at most. A key may hold an eighth.' }),
    bytes: count(64 * KiB, 64 * KiB * MiB)
      .default(64 * MiB)
      .meta({ doc: 'Unsettled bytes at most. A key may hold an eighth.' }),
  })
  .prefault({});

export const sourceSchema = z.strictObject({
  window: windowSchema.meta({ doc: 'What the source may have given and not seen settled.' }),
  maxAckGap: z
    .strictObject({
      messages: count(1, 100_000_000)
        .default(81_920)
        .meta({ doc: 'Positions that may be open behind the oldest unsettled one.' }),
      ageMs: ms(DAY)
        .default(0)
        .meta({ doc: 'Age of the oldest unsettled one at which the source waits; 0 means none.' }),
    })
    .prefault({})
    .meta({ doc: 'For sources whose acks advance without holes: how much one held message may pin.' }),
  onBroken: z
    .enum(['dead', 'fail'])
    .default('dead')
    .meta({ doc: 'A record that cannot be read: dead-letter it and go on, or stop with SOURCE_FAILED.' }),
  checkpoint: z.union([z.boolean(), z.string()]).default(false).meta({
    doc: 'Keep the position below which everything settled, and go on from it at the next start: true in the data folder, or the name of an I/O actor that keeps states. Replayable, ordered sources only.',
  }),
  repeat: count(1, 1_000_000_000).default(1).meta({ doc: 'How many times a finite source is read.' }),
  endsAfter: z.array(z.string()).optional().meta({
    doc: 'With --once (`once` of start): sources after whose last message is settled this one ends too, when it has read what is there. For sources without an end of their own.',
  }),
  batchSize: count(1, 100_000).default(100).meta({ doc: 'Poll sources: items asked for at once (G2209).' }),
  pauseMs: ms(DAY).default(1000).meta({ doc: 'Poll sources: pause between polls, doubled when idle (G2209).' }),
  errorPauseMs: ms(DAY).default(5000).meta({ doc: 'Pause after a source threw (G2278).' }),
});

export const runtimeSchema = z.strictObject({
  threads: count(1, 256).optional().meta({ doc: 'Hosts. Default: the cores this process may use.' }),
  partitions: z
    .number()
    .int()
    .min(8)
    .max(16_384)
    .refine(n => (n & (n - 1)) === 0, 'expected a power of two')
    .default(1024)
    .meta({ doc: 'Hash slots that keys fall in; a power of two.' }),
  ioThreads: z
    .enum(['auto', 'one', 'perKind'])
    .default('auto')
    .meta({ doc: 'Threads of I/O actors. auto: one for all on up to 2 cores, one per kind above.' }),
  window: windowSchema.meta({ doc: 'Unsettled messages of one lane to one actor.' }),
  quantum: z
    .strictObject({
      items: count(1, 1_000_000).default(256).meta({ doc: 'Messages a `handle` actor takes from one key in a turn.' }),
      bytes: count(KiB, 1024 * MiB)
        .default(1 * MiB)
        .meta({ doc: 'Bytes of one turn.' }),
      ms: ms(10_000).default(5).meta({ doc: 'Time after which turns yield to the event loop.' }),
    })
    .prefault({}),
  ageMs: ms(DAY).default(1000).meta({ doc: 'Waiting this long lifts a key by one priority, so nothing starves.' }),
  stuckMs: ms(DAY).default(10_000).meta({ doc: 'A host whose event loop does not turn for this long is replaced.' }),
  quarantineAfter: count(1, 100)
    .default(3)
    .meta({ doc: 'Deaths of a host with one message running alone before that message is dead-lettered.' }),
  restart: z
    .strictObject({
      max: count(0, 1_000_000)
        .default(100)
        .meta({ doc: 'Unplanned deaths of one host within withinMs before the runtime gives up with exit code 1.' }),
      withinMs: ms(DAY).default(600_000).meta({ doc: 'The window of max.' }),
      delayMs: ms(DAY)
        .default(10)
        .meta({ doc: 'First pause before a replacement starts; doubled with each death in the window.' }),
      maxDelayMs: ms(DAY).default(5000).meta({ doc: 'Longest pause.' }),
    })
    .prefault({}),
  graceMs: ms(DAY).default(25_000).meta({
    doc: 'Longest drain after stop() or SIGTERM; stay below the grace period of your process manager (Kubernetes: 30 s).',
  }),
  spool: z
    .boolean()
    .default(true)
    .meta({ doc: 'Write tells that a drain abandons to the data folder; they are told again at the next start.' }),
  heap: z
    .strictObject({
      maxMb: count(32, 1_000_000)
        .optional()
        .meta({ doc: "Old-space limit of a host. Default: the machine's memory over twice the hosts, 4096 at most." }),
      pauseAt: z
        .number()
        .min(0.3)
        .max(0.99)
        .default(0.8)
        .meta({ doc: 'Share of maxMb at which a host takes no more in.' }),
      recycleAfterMs: ms(DAY)
        .default(10_000)
        .meta({ doc: 'How long it may stay above pauseAt before it is recycled.' }),
    })
    .prefault({}),
  deadLetters: z
    .strictObject({
      retryMs: ms(DAY)
        .default(1000)
        .meta({ doc: 'Pause after a failed write; it is retried for ever and pushes back meanwhile.' }),
    })
    .prefault({})
    .meta({ doc: 'Dead letters rest in `dead-letters.ndjson` of the data folder.' }),
});

export type ActorOptions = z.output<typeof actorSchema>;
export type ActorOptionsInput = z.input<typeof actorSchema>;
export type SourceOptions = z.output<typeof sourceSchema>;
export type SourceOptionsInput = z.input<typeof sourceSchema>;
export type RuntimeOptions = z.output<typeof runtimeSchema>;
export type RuntimeOptionsInput = z.input<typeof runtimeSchema>;
export type RetryOptions = z.output<typeof retrySchema>;
