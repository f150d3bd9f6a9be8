/** The options that servers need; the embedded store does without. */
import { z } from 'zod';
import type { RedisOptions } from '../options.ts';
import { addressOf, addressProblem, isServerUrl } from './address.ts';
import type { ConnectOptions } from './connector.ts';

const DAY = 86_400_000;
const ms = (min: number) => z.number().min(min).max(DAY);
const FILE = 'a file with it, read again for each connection';

export const serverShape = {
  username: z.string().min(1).optional().meta({ doc: 'Servers: the ACL user; before the one of the url.' }),
  password: z.string().min(1).optional().meta({ doc: 'Servers: its password; before the one of the url.' }),
  passwordFile: z
    .string()
    .min(1)
    .optional()
    .meta({ doc: `Servers: instead of password, ${FILE}.` }),
  sentinel: z
    .strictObject({
      username: z.string().min(1).optional().meta({ doc: 'Who we are to the sentinels.' }),
      password: z
        .string()
        .min(1)
        .optional()
        .meta({ doc: 'The password for the sentinels; that of the url is for the master.' }),
      passwordFile: z
        .string()
        .min(1)
        .optional()
        .meta({ doc: `Instead of password, ${FILE}.` }),
    })
    .prefault({})
    .meta({ doc: 'redis+sentinel, rediss+sentinel: who we are to the sentinels.' }),
  tls: z
    .strictObject({
      ca: z
        .string()
        .optional()
        .meta({ doc: "PEM file of the authorities that are trusted; Node's own where it is left out." }),
      cert: z.string().optional().meta({ doc: 'PEM file of our certificate, with its chain.' }),
      key: z.string().optional().meta({ doc: 'PEM file of its key.' }),
      serverName: z.string().optional().meta({
        doc: 'The host that the certificate must be of, where it is not the one that is connected to.',
      }),
    })
    .prefault({})
    .meta({
      doc: 'rediss, rediss+sentinel, rediss+cluster: what is trusted and shown. At least TLS 1.2. Refused beside a url without TLS.',
    }),
  prefix: z
    .string()
    .max(128)
    .regex(/^[^{}]*(\{[^{}]+\}[^{}]*)?$/, 'expected braces only around one hash tag')
    .default('')
    .meta({
      doc: 'Servers: stands before every key and channel there, so that several applications can share one. With a hash tag in it, as in `{shop}:`, all keys are in one slot of a cluster.',
    }),
  connectTimeoutMs: ms(100).default(10_000).meta({ doc: 'Servers: how long connecting may take.' }),
  commandTimeoutMs: ms(50).default(5000).meta({
    doc: 'Servers: how long an ask may take. Then it fails with IO_FAILED and is tried again by the policy; a connection without an answer for so long is made anew.',
  }),
  heartbeatMs: ms(100).default(5000).meta({
    doc: 'Servers: how often the connection of subscriptions is asked for a sign of life.',
  }),
  slowMs: ms(0).default(100).meta({
    doc: 'Servers: a batch of asks that takes so long is counted as slow, and logged, once a second at most.',
  }),
} as const;

type Given = z.output<z.ZodObject<typeof serverShape>> & { readonly url: string };

/** What does not go together is refused: it would be passed over in silence, or a password go without TLS. */
export function refuseMixed(options: Given, ctx: z.RefinementCtx): void {
  const { url, sentinel, tls } = options;
  // Options for servers may stay beside memory: or file:, as of a program under test.
  if (!isServerUrl(url) || addressProblem(url) !== null) return;
  const { kind, isTls } = addressOf(url);
  const say = (message: string, ...path: string[]): void => void ctx.addIssue({ code: 'custom', path, message });
  if (!isTls && isGiven(tls)) say('expected a url with TLS: rediss://, rediss+sentinel:// or rediss+cluster://', 'tls');
  if (kind !== 'sentinel' && isGiven(sentinel))
    say('expected a url of sentinels: redis+sentinel:// or rediss+sentinel://', 'sentinel');
  if (tls.cert !== undefined && tls.key === undefined) say('expected the key of tls.cert', 'tls', 'key');
  if (tls.key !== undefined && tls.cert === undefined) say('expected the certificate of tls.key', 'tls', 'cert');
  const one = 'expected password or passwordFile, not both';
  if (hasTwo(options)) say(one, 'passwordFile');
  if (hasTwo(sentinel)) say(one, 'sentinel', 'passwordFile');
}

const isGiven = (group: object): boolean => Object.values(group).some(value => value !== undefined);

const hasTwo = (of: Pick<Given, 'password' | 'passwordFile'>): boolean =>
  of.password !== undefined && of.passwordFile !== undefined;

export function connectOptionsOf(options: RedisOptions): ConnectOptions {
  const { url, username, password, passwordFile, sentinel, tls, connectTimeoutMs } = options;
  return {
    address: addressOf(url),
    username,
    password,
    passwordFile,
    sentinel: {
      username: sentinel.username,
      password: sentinel.password,
      passwordFile: sentinel.passwordFile,
    },
    tls: { ca: tls.ca, cert: tls.cert, key: tls.key, serverName: tls.serverName },
    connectTimeoutMs,
  };
}
