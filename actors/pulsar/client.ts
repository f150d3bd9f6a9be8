/** The typed face of a `pulsar` I/O actor, over asks. */
import { describe, KeymillError } from '../../runtime/index.ts';
import type { PulsarOp } from './asks.ts';
import type {
  ConsumeOptions,
  Delivery,
  MessageId,
  OutMessage,
  Publishable,
  PublishOptions,
  PulsarClient,
  TopicStats,
} from './contract.ts';
import type { Letter } from './delivery.ts';
import { type Ask, Loop } from './loop.ts';
import { type RetryLetters, retryLettersOf } from './retry-letter.ts';
import { bsonBytes } from './schema/bson.ts';
import { DATES_PROPERTY, datedJson } from './schema/dates.ts';
import { handleAll } from './subscribed.ts';
import { typed } from './typed.ts';

/** Messages of a batch at most, where it is not said. */
const BATCH = 100;

export function clientOf(sends: (op: unknown) => Promise<unknown>): PulsarClient {
  const ask: Ask = (op: PulsarOp) => sends(op);
  const publish = async (
    topic: string,
    messages: readonly Publishable[],
    { epoch }: PublishOptions = {},
  ): Promise<MessageId[]> => {
    if (messages.length === 0) return [];
    const its = epoch === undefined ? {} : { epoch };
    return (await ask({ op: 'publish', topic, messages: messages.map(outOf), ...its })) as MessageId[];
  };
  const consumeLoop = (said: ConsumeOptions): Loop => {
    const { topic, signal, retryLetter, ...rest } = said;
    const topics = rest.pattern !== undefined ? [] : typeof topic === 'string' ? [topic] : topic;
    const letters = retryLetter && retryLettersOf(retryLetter, said, topics);
    const options = { ...rest, topics: letters ? [...topics, letters.topic] : topics };
    return new Loop(ask, {
      open: () => ({ op: 'consume', options }),
      acknowledges: true,
      isUpToEnd: false,
      letter: letters && letterBy(letters),
      signal,
    });
  };
  const letterBy =
    (letters: RetryLetters): Letter =>
    async (message, delayMs, isDead) => {
      const letter = letters.letterOf(message, delayMs, isDead);
      await publish(letter.topic, [letter.message]);
    };
  const consume = (options: ConsumeOptions) => ({ [Symbol.asyncIterator]: () => consumeLoop(options) });
  return {
    publish: async (topic, message, options) => (await publish(topic, [message], options))[0]!,
    publishBatch: publish,
    consume,
    subscribe: ({ attempts, ...options }, handle) => handleAll(consume(options), { ...options, attempts }, handle),
    consumeBatches: ({ max = BATCH, ...options }) => batchesOf(consumeLoop(options), max),
    read: ({ follow, signal, ...options }) => ({
      [Symbol.asyncIterator]: () =>
        new Loop(ask, {
          open: last => ({
            op: 'read',
            options: last === null ? options : { ...options, from: { id: last }, isInclusive: false },
          }),
          acknowledges: false,
          isUpToEnd: follow !== true,
          signal,
        }),
    }),
    createTopic: async (topic, options) =>
      void (await ask({ op: 'create', topic, partitions: options?.partitions ?? 0 })),
    stats: async topic => (await ask({ op: 'stats', topic })) as TopicStats,
  };
}

async function* batchesOf(loop: Loop, max: number): AsyncGenerator<Delivery[]> {
  try {
    for (;;) {
      const first = await loop.next();
      if (first.done) return;
      const batch = [first.value];
      while (batch.length < max) {
        const one = loop.more();
        if (!one) break;
        batch.push(one);
      }
      yield batch;
    }
  } finally {
    await loop.return();
  }
}

/** Throws RECORD_BROKEN for what JSON or BSON cannot hold. */
function outOf(message: Publishable): OutMessage {
  if (!('json' in message || 'bson' in message)) return message;
  const { type, ...rest } = 'json' in message ? jsonOut(message) : bsonOut(message);
  return type === undefined ? rest : typed(type, rest);
}

function jsonOut({ json, properties, ...rest }: Extract<Publishable, { readonly json: unknown }>) {
  const { text: payload, dates } = made('JSON', json, datedJson);
  if (payload === undefined) throw notMade('JSON', json);
  return { ...rest, payload, properties: datedProperties(properties, dates) };
}

/** Properties may have been copied from another message: its marker is not of this one. */
function datedProperties(properties: OutMessage['properties'], dates: string | undefined): OutMessage['properties'] {
  if (dates !== undefined) return { ...properties, [DATES_PROPERTY]: dates };
  if (properties?.[DATES_PROPERTY] === undefined) return properties;
  return Object.fromEntries(Object.entries(properties).filter(([name]) => name !== DATES_PROPERTY));
}

function bsonOut({ bson, ...rest }: Extract<Publishable, { readonly bson: unknown }>) {
  return { ...rest, payload: made('BSON', bson, bsonBytes) };
}

function made<T>(what: string, value: unknown, make: (value: unknown) => T): T {
  try {
    return make(value);
  } catch (cause) {
    throw notMade(what, value, cause);
  }
}

function notMade(what: string, value: unknown, cause?: unknown): KeymillError {
  return new KeymillError('RECORD_BROKEN', `not ${what}: ${describe(value)}`, { cause, class: 'fatal' });
}
