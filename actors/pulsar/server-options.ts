/** The options that a real Pulsar needs; the embedded bus does without. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { asError, KeymillError } from '../../runtime/index.ts';
import type { PulsarOptions } from './options.ts';
import { COMPRESSIONS } from './wire/codec/enums.ts';
import type { TlsOptions } from './wire/connection.ts';
import type { WireOptions } from './wire/driver.ts';

const DAY = 86_400_000;
const ms = (min: number) => z.number().min(min).max(DAY);
const SECRET = 'the value, `env:NAME`, or `file:PATH`, which is read again for each connection and refresh';

const auth = z.union([
  z.strictObject({
    token: z
      .string()
      .min(1)
      .meta({ doc: `A token: ${SECRET}.` }),
  }),
  z.strictObject({
    user: z.string().min(1),
    password: z
      .string()
      .min(1)
      .meta({ doc: `The password: ${SECRET}.` }),
  }),
  z.strictObject({ tls: z.literal(true).meta({ doc: 'The certificate of tls.cert is the proof.' }) }),
  z.strictObject({
    issuer: z.url(),
    clientId: z.string().min(1),
    clientSecret: z.string().min(1),
    audience: z.string().optional(),
    scope: z.string().optional(),
  }),
]);

export const serverShape = {
  driver: z.enum(['wire', 'pulsar-client']).default('wire').meta({
    doc: "pulsar: wire is keymill's own client. pulsar-client is the official one, a package of its own (`npm install pulsar-client`), which can do less.",
  }),
  adminUrl: z
    .string()
    .regex(/^https?:\/\//, 'expected http://HOST:PORT')
    .optional()
    .meta({
      doc: 'pulsar: the admin API, `http://HOST:8080`. Making partitioned topics and telling what topics hold needs it.',
    }),
  auth: auth.optional().meta({
    doc: `pulsar: who we are. \`{ token }\`, \`{ user, password }\`, \`{ tls: true }\`, or for OAuth2 \`{ issuer, clientId, clientSecret, audience, scope }\`. A secret is ${SECRET}.`,
  }),
  tls: z
    .strictObject({
      ca: z
        .string()
        .optional()
        .meta({ doc: "PEM file of the authorities that are trusted; Node's own where it is left out." }),
      cert: z.string().optional().meta({ doc: 'PEM file of our certificate, with its chain.' }),
      key: z.string().optional().meta({ doc: 'PEM file of its key.' }),
      checkHost: z
        .boolean()
        .default(true)
        .meta({ doc: 'Whether the certificate must be of the host that is connected to.' }),
    })
    .prefault({})
    .meta({ doc: 'pulsar+ssl: what is trusted and shown.' }),
  profile: z.enum(['default', 'high-throughput']).default('default').meta({
    doc: 'pulsar: batches of 100 messages or 128 KiB after 100 ms at most, 500 messages under way; high-throughput: 1000, 1 MiB, 200 ms, 5000, with LZ4.',
  }),
  batch: z
    .strictObject({
      messages: z.number().int().min(1).max(10_000).optional().meta({ doc: 'Messages of a batch; 1 for none.' }),
      bytes: z
        .number()
        .int()
        .min(1024)
        .max(4 * 1024 * 1024)
        .optional()
        .meta({ doc: 'Bytes of a batch.' }),
      delayMs: ms(0)
        .optional()
        .meta({ doc: 'How long messages collect while the broker owes answers; else they leave with the turn.' }),
      by: z.enum(['key', 'any']).default('key').meta({
        doc: 'key: a batch for each key, so that Key_Shared subscriptions keep keys together. any: larger batches, for topics without such subscriptions.',
      }),
    })
    .prefault({})
    .meta({ doc: 'pulsar: how messages are put together; what is left out is of the profile.' }),
  maxPending: z.number().int().min(1).max(1_000_000).optional().meta({
    doc: 'pulsar: messages of a producer that may be unconfirmed; further ones wait. Of the profile when left out.',
  }),
  memoryBytes: z
    .number()
    .int()
    .min(0)
    .max(1024 ** 4)
    .default(64 * 1024 * 1024)
    .meta({
      doc: 'pulsar: bytes of unconfirmed messages of all producers together; further ones wait. 0 for no bound.',
    }),
  chunking: z.boolean().default(false).meta({
    doc: 'pulsar: sends messages that are larger than the broker takes in parts, up to 256 MiB. Consumers must be able to put them together, as keymill and the official clients are.',
  }),
  compression: z
    .enum([...COMPRESSIONS, 'auto'])
    .optional()
    .meta({
      doc: 'pulsar: codec of batches and messages; none, or of the profile. auto: by `optimize`, as the tree of the guide 2.4 has it.',
    }),
  optimize: z.enum(['latency', 'bandwidth', 'balanced']).default('balanced').meta({
    doc: 'pulsar: what `compression: "auto"` is for: latency takes lz4, bandwidth zstd, balanced snappy.',
  }),
  compressFrom: z.number().int().min(0).default(1024).meta({
    doc: 'pulsar: batches and messages below this size are not compressed.',
  }),
  sendTimeoutMs: ms(100).default(30_000).meta({
    doc: 'pulsar: when the oldest message is not confirmed by then, all that wait fail (PUBLISH_FAILED), so that none overtakes it.',
  }),
  connectMs: ms(100).default(10_000).meta({ doc: 'pulsar: how long connecting may take.' }),
  operationMs: ms(100).default(30_000).meta({ doc: 'pulsar: how long any other request may take.' }),
  keepAliveMs: ms(100).default(30_000).meta({
    doc: 'pulsar: a connection without a sign of life for twice as long is made anew.',
  }),
  discoveryMs: ms(100).default(60_000).meta({
    doc: 'pulsar: how often new partitions, and topics that match a pattern, are looked for.',
  }),
} as const;

const PROFILES = {
  default: { messages: 100, bytes: 128 * 1024, delayMs: 100, maxPending: 500, compression: 'none' },
  'high-throughput': { messages: 1000, bytes: 1024 * 1024, delayMs: 200, maxPending: 5000, compression: 'lz4' },
} as const;

const AUTO = { latency: 'lz4', bandwidth: 'zstd', balanced: 'snappy' } as const;

/** Reads the files that are named. Throws CONFIG_INVALID. */
export function wireOptionsOf(options: PulsarOptions, at: string): WireOptions {
  const profile = PROFILES[options.profile];
  const { url, adminUrl, auth: identity, batch, compressFrom, sendTimeoutMs, memoryBytes, chunking } = options;
  const { connectMs, operationMs, keepAliveMs, discoveryMs } = options;
  return {
    url,
    adminUrl,
    auth: identity,
    tls: tlsOf(options.tls, at),
    batching: {
      messages: batch.messages ?? profile.messages,
      bytes: batch.bytes ?? profile.bytes,
      delayMs: batch.delayMs ?? profile.delayMs,
      by: batch.by,
    },
    codec: options.compression === 'auto' ? AUTO[options.optimize] : (options.compression ?? profile.compression),
    memoryBytes,
    chunking,
    compressFrom,
    maxPending: options.maxPending ?? profile.maxPending,
    sendTimeoutMs,
    connectMs,
    operationMs,
    keepAliveMs,
    discoveryMs,
  };
}

function tlsOf({ ca, cert, key, checkHost }: PulsarOptions['tls'], at: string): TlsOptions {
  const read = (name: string, path: string | undefined): Buffer | undefined => {
    if (path === undefined) return undefined;
    try {
      return readFileSync(path);
    } catch (cause) {
      throw new KeymillError('CONFIG_INVALID', `${at}.tls.${name}: ${asError(cause).message}`, {
        cause,
        place: { at },
      });
    }
  };
  return { ca: read('ca', ca), cert: read('cert', cert), key: read('key', key), checksHost: checkHost };
}
