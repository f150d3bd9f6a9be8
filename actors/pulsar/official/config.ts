/** keymill's options as the official client takes them. */
import { type Clock, KeymillError, type Log } from '../../../runtime/index.ts';
import type { ConsumerOptions, ProducerOptions } from '../contract.ts';
import { checkSubscription, deadLetterTopic, topicName, topicPattern } from '../topic-name.ts';
import { authOf } from '../wire/auth.ts';
import type { WireOptions } from '../wire/driver.ts';
import type { NativeConfig, NativePackage } from './native.ts';

export type OfficialOptions = WireOptions & {
  /** Paths of PEM files: the client reads them itself. */
  readonly files: {
    readonly ca?: string | undefined;
    readonly cert?: string | undefined;
    readonly key?: string | undefined;
  };
};

const CODECS = { none: 'None', lz4: 'LZ4', zlib: 'Zlib', zstd: 'ZSTD', snappy: 'SNAPPY' } as const;
const TYPES = { Exclusive: 'Exclusive', Shared: 'Shared', Failover: 'Failover', Key_Shared: 'KeyShared' } as const;
/** The client refuses less. */
const MIN_ACK_TIMEOUT_MS = 10_000;
const MIN_NACK_DELAY_MS = 100;
const MAX_PREFETCH_IN_ALL = 50_000;
const MAX_INT = 2 ** 31 - 1;
const MAX_PARTITIONS = 1000;
const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
const WARN = 2;

/** Rejects with CONFIG_INVALID, and ACCESS_REFUSED for a secret that cannot be read. */
export async function clientConfig(
  options: OfficialOptions,
  native: NativePackage,
  clock: Clock,
  log: Log,
): Promise<NativeConfig> {
  const { url, files, tls, connectMs, operationMs } = options;
  return {
    serviceUrl: url,
    authentication: await authentication(options, native, clock),
    operationTimeoutSeconds: Math.ceil(operationMs / 1000),
    connectionTimeoutMs: connectMs,
    tlsTrustCertsFilePath: files.ca,
    tlsCertificateFilePath: files.cert,
    tlsPrivateKeyFilePath: files.key,
    tlsValidateHostname: tls?.checksHost ?? true,
    tlsAllowInsecureConnection: false,
    logLevel: WARN,
    log: (level: number, file: string, line: number, message: string) =>
      log[LEVELS[level] ?? 'warn']({ file, line }, message),
  };
}

/**
 * Secrets are read here once: functions that the client would call for them run on this thread, which `hasNext` of a reader
 * blocks.
 */
async function authentication({ auth, files }: OfficialOptions, native: NativePackage, clock: Clock): Promise<unknown> {
  const secret = async (said: string): Promise<string> =>
    Buffer.from((await authOf({ token: said }, clock).data())!).toString();
  if (auth === undefined) return undefined;
  if ('token' in auth) return new native.AuthenticationToken({ token: await secret(auth.token) });
  if ('user' in auth)
    return new native.AuthenticationBasic({ username: auth.user, password: await secret(auth.password) });
  if ('tls' in auth) {
    const { cert, key } = files;
    if (cert === undefined || key === undefined)
      throw new KeymillError('CONFIG_INVALID', 'auth.tls needs tls.cert and tls.key');
    return new native.AuthenticationTls({ certificatePath: cert, privateKeyPath: key });
  }
  const { issuer, clientId, clientSecret, audience, scope } = auth;
  return new native.AuthenticationOauth2({
    type: 'client_credentials',
    issuer_url: issuer,
    client_id: clientId,
    client_secret: await secret(clientSecret),
    ...(audience === undefined ? {} : { audience }),
    ...(scope === undefined ? {} : { scope }),
  });
}

/** The client puts no messages together where it may have to take them apart. */
export function producerConfig(
  topic: string,
  maxPending: number,
  { name, access, sendTimeoutMs, schema }: ProducerOptions,
  options: OfficialOptions,
): NativeConfig {
  const { batching, chunking, codec } = options;
  return {
    topic,
    producerName: name,
    accessMode: access ?? 'Shared',
    sendTimeoutMs: sendTimeoutMs ?? options.sendTimeoutMs,
    maxPendingMessages: maxPending,
    maxPendingMessagesAcrossPartitions: Math.min(MAX_INT, maxPending * MAX_PARTITIONS),
    blockIfQueueFull: false,
    hashingScheme: 'Murmur3_32Hash',
    messageRoutingMode: 'RoundRobinDistribution',
    compressionType: CODECS[codec],
    chunkingEnabled: chunking,
    batchingEnabled: batching.messages > 1 && !chunking,
    batchingType: batching.by === 'key' ? 'KeyBasedBatching' : 'DefaultBatching',
    batchingMaxMessages: batching.messages,
    batchingMaxAllowedSizeInBytes: batching.bytes,
    batchingMaxPublishDelayMs: Math.max(1, Math.ceil(batching.delayMs)),
    schema: schema && { schemaType: 'Json', name: schema.name, schema: schema.definition },
  };
}

/** Throws TOPIC_INVALID, CONFIG_INVALID, ACK_REFUSED. */
export function consumerConfig(options: ConsumerOptions): NativeConfig {
  const { subscription, type, name, prefetch = 1000, nackDelayMs = 60_000, ackTimeoutMs = 0, schema } = options;
  checkSubscription(subscription);
  if (!Object.hasOwn(TYPES, type)) throw refused(options, `a type of subscription that is none: ${type}`);
  if (ackTimeoutMs > 0 && type !== 'Shared')
    throw new KeymillError(
      'ACK_REFUSED',
      `subscription ${subscription} refuses an ack time-out: it would change the order that ${type} keeps`,
    );
  if (ackTimeoutMs > 0 && ackTimeoutMs < MIN_ACK_TIMEOUT_MS)
    throw refused(options, `ack time-outs below ${MIN_ACK_TIMEOUT_MS} ms`);
  const topics = [...new Set(options.topics.map(topic => topicName(topic).full))];
  return {
    ...sources(options, topics),
    subscription,
    subscriptionType: TYPES[type],
    subscriptionInitialPosition: options.initialPosition ?? 'Latest',
    consumerName: name,
    receiverQueueSize: Math.max(1, prefetch),
    receiverQueueSizeAcrossPartitions: MAX_PREFETCH_IN_ALL,
    nAckRedeliverTimeoutMs: Math.max(MIN_NACK_DELAY_MS, nackDelayMs),
    ackTimeoutMs,
    batchIndexAckEnabled: true,
    deadLetterPolicy: deadLetters(options, topics),
    schema: schema && { schemaType: 'Json', name: schema.name, schema: schema.definition },
  };
}

function sources(options: ConsumerOptions, topics: readonly string[]): NativeConfig {
  const { pattern } = options;
  if (pattern !== undefined) {
    const { namespace } = topicPattern(pattern);
    const path = pattern.replace(/^persistent:\/\//, '');
    const source = path.startsWith(`${namespace}/`) ? path.slice(namespace.length + 1) : path;
    return { topicsPattern: `persistent://${namespace}/${source}`, regexSubscriptionMode: 'PersistentOnly' };
  }
  if (topics.length === 0) throw refused(options, 'a consumer without topics');
  return topics.length === 1 ? { topic: topics[0] } : { topics };
}

/** Left to itself the client would name the dead-letter topics of partitions after each of them. */
function deadLetters(options: ConsumerOptions, topics: readonly string[]): NativeConfig | undefined {
  const { deadLetter, subscription } = options;
  if (!deadLetter) return undefined;
  if (deadLetter.maxRedeliver < 1) throw refused(options, 'dead letters before any redelivery');
  if (deadLetter.topic === undefined && topics.length !== 1)
    throw refused(options, 'dead letters of several topics without a deadLetter.topic');
  return {
    maxRedeliverCount: deadLetter.maxRedeliver,
    deadLetterTopic: topicName(deadLetter.topic ?? deadLetterTopic(topics[0]!, subscription)).full,
  };
}

function refused({ subscription }: ConsumerOptions, what: string): KeymillError {
  return new KeymillError('CONFIG_INVALID', `subscription ${subscription}: driver pulsar-client refuses ${what}`);
}
