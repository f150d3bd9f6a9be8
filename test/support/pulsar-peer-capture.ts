/**
 * Records what the official client and a broker say to each other, one frame of each kind, for tests of the codec:
 * `eval "$(sh scripts/services.sh start pulsar)"; sh scripts/node.sh test/support/pulsar-peer-capture.ts`
 * writes test/pulsar/wire/captured.json. Takes half a minute, since the broker sends its first PING so late.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { FaultProxy } from './proxy.ts';
import { commandOf } from './proxy-pulsar.ts';
import { pulsarFrames } from './proxy-splitters.ts';
import { PulsarPeer } from './pulsar-peer.ts';
import { pulsarService } from './services.ts';
import { createPartitions, terminateTopic } from './services-admin.ts';

interface Captured {
  readonly name: string;
  readonly from: 'client' | 'broker';
  readonly note: string;
  readonly hex: string;
}

const FILE = fileURLToPath(new URL('../pulsar/wire/captured.json', import.meta.url));
const CODECS = ['none', 'lz4', 'zlib', 'zstd', 'snappy'] as const;
/** Longer than the broker waits before it sends a PING on a connection where nothing is said. */
const PING_MS = 32_000;
const { client, broker } = { client: 'client', broker: 'broker' } as const;
/** Of what happened since the last step. */
const seen: { readonly from: 'client' | 'broker'; readonly frame: Buffer }[] = [];
const captured: Captured[] = [];

function keep(from: Captured['from'], type: number, name: string, note: string, which = 0): void {
  const frame = seen.filter(one => one.from === from && commandOf(one.frame) === type)[which]?.frame;
  if (frame === undefined) throw new Error(`no ${name} was seen`);
  captured.push({ name, from, note, hex: frame.toString('hex') });
}

const service = pulsarService();
if (service?.python == null)
  throw new Error('needs a Pulsar and its Python client, as scripts/services.sh starts them');

const splitters = new Map<string, ReturnType<typeof pulsarFrames>>();
const proxy = await new FaultProxy(service.url, {
  watch: (direction, bytes, connection) => {
    const key = `${direction} ${connection}`;
    const split = splitters.get(key) ?? pulsarFrames();
    splitters.set(key, split);
    for (const frame of split(bytes)) seen.push({ from: direction === 'toClient' ? broker : client, frame });
  },
}).listen();
const peer = new PulsarPeer(service.python, { url: proxy.url });
const topic = `captured-${randomUUID()}`;
const text = 'to be compressed, to be compressed, to be compressed';

await peer.produce(topic, [{ payload: 'hello' }], { name: 'producer-of-mine' });
keep(client, 2, 'connect', 'without authentication');
keep(broker, 3, 'connected', 'answer to connect');
keep(client, 21, 'partitioned-metadata', topic);
keep(broker, 22, 'partitioned-metadata-response', 'no partitions');
keep(client, 23, 'lookup', topic);
keep(broker, 24, 'lookup-response', 'Connect, with both addresses of the broker, and to stay with the service url');
keep(client, 2, 'connect-proxied', 'to the service url again, for the broker of the lookup', 1);
keep(client, 5, 'producer', 'name given: producer-of-mine');
keep(broker, 17, 'producer-success', 'nothing was published before');
keep(client, 6, 'send-single', 'payload hello; no key, no properties');
keep(broker, 7, 'send-receipt', 'of send-single');
keep(client, 15, 'close-producer', '');
keep(broker, 13, 'success', 'answer to close-producer');
seen.length = 0;

await peer.produce(topic, [{ payload: '' }]);
keep(client, 5, 'producer-unnamed', 'the broker gives the name');
keep(broker, 17, 'producer-success-unnamed', 'with a name of the broker');
keep(client, 6, 'send-empty', 'an empty payload');
seen.length = 0;

await peer.produce(topic, [
  { payload: 'all', key: 'key', orderingKey: 'order', properties: { a: '1', ü: '€' }, eventTime: 1_700_000_000_123 },
]);
keep(
  client,
  6,
  'send-attributes',
  'payload all, key key, ordering key order, properties a=1 ü=€, event time 1700000000123',
);
seen.length = 0;

await peer.produce(topic, [{ payload: null, key: 'key' }]);
keep(client, 6, 'send-null', 'null as value, key key');
seen.length = 0;

await peer.produce(topic, [{ payload: 'later', deliverAfterMs: 3_600_000 }]);
keep(client, 6, 'send-delayed', 'payload later, to be delivered an hour after publish time');
seen.length = 0;

const read = await peer.subscribe(topic, 'attributes', {
  type: 'Shared',
  initialPosition: 'Earliest',
  name: 'consumer-of-mine',
});
await read.receive(4);
keep(client, 4, 'subscribe-shared', 'subscription attributes, Shared, Earliest, name consumer-of-mine');
keep(broker, 13, 'success-subscribe', 'answer to subscribe');
keep(client, 11, 'flow', 'a queue of 1000');
keep(broker, 9, 'message-single', 'of send-single, with metadata of the entry', 0);
keep(broker, 9, 'message-empty', 'of send-empty, with metadata of the entry', 1);
keep(broker, 9, 'message-attributes', 'of send-attributes, with metadata of the entry', 2);
keep(broker, 9, 'message-null', 'of send-null, with metadata of the entry', 3);
await read.close();
keep(client, 16, 'close-consumer', '');
seen.length = 0;

for (const codec of CODECS) {
  const zipped = `${topic}-${codec}`;
  const { name, note } =
    codec === 'none' ? { name: '', note: 'not compressed' } : { name: `-${codec}`, note: `by ${codec}` };
  if (codec !== 'none') {
    await peer.produce(`${zipped}-single`, [{ payload: text }], { codec });
    keep(client, 6, `send-single${name}`, `${note}: payload ${JSON.stringify(text)}`);
    seen.length = 0;
  }
  const messages = [
    { payload: text, key: 'k1', properties: { a: '1' } },
    { payload: 'world', key: 'k2', orderingKey: 'o', properties: { b: '2', c: '' }, eventTime: 1_700_000_000_123 },
  ];
  await peer.produce(zipped, messages, { codec, batching: true });
  const batch = `${note}: ${JSON.stringify(messages)}`;
  keep(client, 6, `send-batch${name}`, batch);
  keep(broker, 7, `send-receipt-batch${name}`, `of send-batch${name}`);
  const consumer = await peer.subscribe(zipped, 's', { initialPosition: 'Earliest' });
  await consumer.receive(2);
  keep(broker, 9, `message-batch${name}`, `of send-batch${name}, with metadata of the entry`);
  await consumer.close();
  seen.length = 0;
}

const batch = `${topic}-batch`;
const payloads = ['a', 'b', 'c'].map(payload => ({ payload }));
await peer.produce(batch, [{ payload: 'one' }], { batching: true });
keep(client, 6, 'send-batch-of-one', 'payload one, in a batch nevertheless');
seen.length = 0;
const ids = await peer.produce(batch, payloads, { batching: true });
const byIndex = { type: 'Shared', initialPosition: 'Earliest', batchIndexAck: true, nackDelayMs: 100 } as const;
const parts = await peer.subscribe(batch, 'parts', byIndex);
const [one] = await parts.receive(4);
seen.length = 0;
await parts.acknowledge([one!.id]);
await parts.acknowledge([ids[1]!]);
await parts.nack([ids[2]!]);
const [again] = await parts.receive(1);
if (again!.redeliveryCount !== 1) throw new Error('expected a redelivery');
keep(
  client,
  10,
  'ack-individual',
  'of the entry of send-batch-of-one, and of index 1 of 3 of the next: bits of ack_set that are 1 remain',
);
keep(client, 20, 'redeliver-unacknowledged', 'the entry with 3 messages');
keep(broker, 9, 'message-redelivered', 'payloads a, b, c; b was acknowledged; redelivery count 1');
await parts.unsubscribe();
keep(client, 12, 'unsubscribe', '');
seen.length = 0;

const upTo = await peer.subscribe(batch, 'up-to', { ...byIndex, type: 'Failover' });
const held = await upTo.receive(3);
keep(client, 4, 'subscribe-failover', 'subscription up-to');
keep(broker, 31, 'active-consumer-change', 'it is the active one');
await upTo.acknowledgeUpTo(held[1]!.id);
await upTo.close();
keep(client, 10, 'ack-cumulative', 'up to index 0 of 3 of the second entry');
seen.length = 0;
const keyShared = await peer.subscribe(batch, 'keys', { ...byIndex, type: 'Key_Shared' });
await keyShared.receive(4);
keep(client, 4, 'subscribe-key-shared', 'subscription keys');
seen.length = 0;
await keyShared.seek(held[1]!.id);
keep(client, 28, 'seek-id', 'to index 0 of 3 of the second entry');
keep(broker, 16, 'close-consumer-broker', 'since the consumer sought');
await keyShared.seek(1_700_000_000_000);
keep(client, 28, 'seek-time', 'to publish time 1700000000000', 1);
await keyShared.close();
seen.length = 0;

await peer.read(batch);
keep(client, 4, 'subscribe-reader', 'from the earliest, not durable');
keep(client, 29, 'get-last-message-id', '');
keep(broker, 30, 'get-last-message-id-response', 'index 2 of 3 of the second entry');
seen.length = 0;

await createPartitions(`${topic}-parts`, 3);
await peer.partitions(`${topic}-parts`);
keep(broker, 22, 'partitioned-metadata-response-parts', '3 partitions');
seen.length = 0;

const busy = await peer.subscribe(batch, 'busy');
await peer.subscribe(batch, 'busy').catch(() => {});
keep(broker, 14, 'error', 'ConsumerBusy: the subscription is Exclusive and taken');
await terminateTopic(batch);
await peer.produce(batch, payloads).catch(() => {});
keep(broker, 14, 'error-terminated', 'TopicTerminatedError: answer to producer', 1);
await busy.receive(1, 200).catch(() => {});
keep(broker, 27, 'reached-end-of-topic', '');
seen.length = 0;

await sleep(PING_MS);
keep(broker, 18, 'ping', '');
keep(client, 19, 'pong', '');

await peer.end();
proxy.close();
mkdirSync(new URL('.', `file://${FILE}`), { recursive: true });
writeFileSync(FILE, `${JSON.stringify(captured, null, 2)}\n`);
process.stderr.write(`${captured.length} frames in ${FILE}\n`);
process.exit();
