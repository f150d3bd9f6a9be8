/** The typed face of a `pulsar` I/O actor, over asks. */
import { describe, KeymillError } from '../../runtime/index.ts';
import type { PulsarOp } from './asks.ts';
import type {
  ConsumeOptions,
  Delivery,
  MessageId,
  OutMessage,
  Publishable,
  PulsarClient,
  TopicStats,
} from './contract.ts';
import { type Ask, Loop } from './loop.ts';
import { typed } from './typed.ts';

/** Messages of a batch at most, where it is not said. */
const BATCH = 100;

export function clientOf(sends: (op: unknown) => Promise<unknown>): PulsarClient {
  const ask: Ask = (op: PulsarOp) => sends(op);
  const publish = async (topic: string, messages: readonly Publishable[]): Promise<MessageId[]> =>
    messages.length === 0 ? [] : ((await ask({ op: 'publish', topic, messages: messages.map(outOf) })) as MessageId[]);
  const consumeLoop = ({ topic, signal, ...rest }: ConsumeOptions): Loop => {
    const topics = rest.pattern !== undefined ? [] : typeof topic === 'string' ? [topic] : topic;
    const options = { ...rest, topics };
    return new Loop(ask, { open: () => ({ op: 'consume', options }), acknowledges: true, isUpToEnd: false, signal });
  };
  return {
    publish: async (topic, message) => (await publish(topic, [message]))[0]!,
    publishBatch: publish,
    consume: options => ({ [Symbol.asyncIterator]: () => consumeLoop(options) }),
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

/** Throws RECORD_BROKEN for what JSON cannot hold. */
function outOf(message: Publishable): OutMessage {
  if (!('json' in message)) return message;
  const { json, type, ...rest } = message;
  let payload: string | undefined;
  try {
    payload = JSON.stringify(json);
  } catch (cause) {
    throw new KeymillError('RECORD_BROKEN', `not JSON: ${describe(json)}`, { cause, class: 'fatal' });
  }
  if (payload === undefined) throw new KeymillError('RECORD_BROKEN', `not JSON: ${describe(json)}`, { class: 'fatal' });
  return type === undefined ? { ...rest, payload } : typed(type, { ...rest, payload });
}
