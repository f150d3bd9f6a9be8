/** Runs in a child: our wire client, used directly as the pulsar actor uses it. */
import type { InMessage, Producer } from '../../actors/pulsar/contract.ts';
import { parseOptions } from '../../actors/pulsar/options.ts';
import { ProducerPool } from '../../actors/pulsar/producer-pool.ts';
import { wireOptionsOf } from '../../actors/pulsar/server-options.ts';
import { WireDriver } from '../../actors/pulsar/wire/driver.ts';
import { systemEnvironment } from '../../runtime/environment.ts';
import type { Log } from '../../runtime/index.ts';
import type { Commands } from '../lib/child.ts';
import { now, sleep } from '../lib/clock.ts';
import { type Consuming, DISTINCT, IN_FLIGHT, type Paced, type Pacing, type Publishing, type Run } from './load.ts';
import { records } from './records.ts';

export interface OursSetup {
  readonly url: string;
  readonly admin: string;
}

/** Our own only: payloads are flights as JSON in place of numbers. */
export type CodecPublishing = Publishing & { readonly codec: string; readonly isFlights: boolean };

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
/** When so few are under way, sending goes on. */
const GO_ON = IN_FLIGHT - 2000;

export async function open({ url, admin }: OursSetup): Promise<Commands> {
  const using = async <T>(options: object, use: (driver: WireDriver) => Promise<T>): Promise<T> => {
    const parsed = parseOptions({ url, adminUrl: admin, ...options }, 'bench');
    const driver = new WireDriver(wireOptionsOf(parsed, 'bench'), systemEnvironment(), SILENT);
    try {
      return await use(driver);
    } finally {
      await driver.close();
    }
  };
  return {
    publish: ({ topic, codec = 'none', isFlights = false, ...load }: CodecPublishing): Promise<Run> => {
      const batch = { messages: load.batch, bytes: load.batchBytes, by: load.by };
      return using({ batch, maxPending: IN_FLIGHT, compression: codec }, async driver => {
        const payloads = isFlights ? records() : numbered(load.bytes);
        return publish(await driver.createProducer({ topic }), payloads, load);
      });
    },
    consume: (load: Consuming): Promise<Run> => using({}, driver => consume(driver, load)),
    paced: (load: Pacing): Promise<Paced> => {
      const batch = load.batching ? { by: 'any' } : { messages: 1 };
      return using({ batch }, driver => paced(driver, load));
    },
    /** A message after the other, each with a producer of its own or all with that of the pool. */
    oneByOne: (load: { topic: string; messages: number; isPooled: boolean }): Promise<Run> =>
      using({}, driver => oneByOne(driver, load)),
    async close() {},
  };
}

function numbered(bytes: number): Buffer[] {
  return Array.from({ length: DISTINCT }, (_, n) => {
    const payload = Buffer.alloc(bytes, 'k');
    payload.writeUInt32BE(n);
    return payload;
  });
}

async function publish(
  producer: Producer,
  payloads: readonly Buffer[],
  { messages, keys }: Pick<Publishing, 'messages' | 'keys'>,
): Promise<Run> {
  const names = Array.from({ length: keys }, (_, n) => `key-${n}`);
  const watch = new Watch();
  await new Promise<void>((resolve, reject) => {
    let sent = 0;
    let confirmed = 0;
    let isPaused = false;
    const onConfirmed = (): void => {
      confirmed++;
      if (confirmed === messages) resolve();
      else if (isPaused && sent - confirmed <= GO_ON) send();
    };
    const send = (): void => {
      isPaused = false;
      for (; sent < messages; sent++) {
        if (sent - confirmed >= IN_FLIGHT) {
          isPaused = true;
          return;
        }
        const payload = payloads[sent % payloads.length]!;
        const message = keys === 0 ? { payload } : { payload, key: names[sent % keys]! };
        producer.send(message).then(onConfirmed, reject);
      }
    };
    send();
  });
  return watch.stop({ messages, sum: 0, disorder: 0 });
}

async function consume(driver: WireDriver, load: Consuming): Promise<Run> {
  const { topic, subscription, type, messages, prefetch } = load;
  const watch = new Watch();
  const consumer = await driver.subscribe({
    topics: [topic],
    subscription,
    type,
    prefetch,
    initialPosition: 'Earliest',
  });
  let sum = 0;
  let disorder = 0;
  await new Promise<void>((resolve, reject) => {
    let acknowledged = 0;
    const onAcknowledged = (): void => {
      if (++acknowledged === messages) resolve();
    };
    const all = async (): Promise<void> => {
      for (let n = 0; n < messages; n++) {
        const { id, payload } = await consumer.receive();
        const number = numberOf(payload!);
        if (number !== n % DISTINCT) disorder++;
        sum += number;
        consumer.acknowledge([id]).then(onAcknowledged, reject);
      }
    };
    all().catch(reject);
  });
  return watch.stop({ messages, sum, disorder });
}

function numberOf(payload: Uint8Array): number {
  return ((payload[0]! << 24) | (payload[1]! << 16) | (payload[2]! << 8) | payload[3]!) >>> 0;
}

async function paced(driver: WireDriver, { topic, messages, bytes, gapUs }: Pacing): Promise<Paced> {
  const subscribing = { topics: [topic], subscription: 'paced', type: 'Exclusive', prefetch: 1000 } as const;
  const consumer = await driver.subscribe(subscribing);
  const producer = await driver.createProducer({ topic });
  const payload = Buffer.alloc(bytes);
  const us: number[] = [];
  const began = now();
  const send = (): Promise<unknown> => {
    payload.writeDoubleBE(now() - began);
    return producer.send({ payload });
  };
  const take = async (): Promise<void> => {
    const message = await consumer.receive();
    us.push((now() - began - asBuffer(message).readDoubleBE()) / 1000);
    void consumer.acknowledge([message.id]);
  };
  if (gapUs === 0)
    for (let n = 0; n < messages; n++) {
      const sent = send();
      await take();
      await sent;
    }
  else await Promise.all([sendAtPace(send, messages, gapUs), takeAll(take, messages)]);
  return { us };
}

const asBuffer = ({ payload }: InMessage): Buffer =>
  Buffer.from(payload!.buffer, payload!.byteOffset, payload!.byteLength);

/** Timers are too coarse to be told when each is due: those that are due leave together. */
async function sendAtPace(send: () => Promise<unknown>, messages: number, gapUs: number): Promise<void> {
  const began = now();
  const sent: Promise<unknown>[] = [];
  while (sent.length < messages) {
    while (sent.length < messages && now() - began >= sent.length * gapUs * 1000) sent.push(send());
    await sleep(1);
  }
  await Promise.all(sent);
}

async function takeAll(take: () => Promise<void>, messages: number): Promise<void> {
  for (let n = 0; n < messages; n++) await take();
}

async function oneByOne(
  driver: WireDriver,
  { topic, messages, isPooled }: { topic: string; messages: number; isPooled: boolean },
): Promise<Run> {
  const payload = Buffer.alloc(200);
  const pool = new ProducerPool(driver, systemEnvironment().clock, { name: undefined, idleMs: 60_000 });
  const watch = new Watch();
  for (let n = 0; n < messages; n++)
    if (isPooled) await pool.use(topic, producer => producer.send({ payload }));
    else {
      const producer = await driver.createProducer({ topic });
      await producer.send({ payload });
      await producer.close();
    }
  const run = watch.stop({ messages, sum: 0, disorder: 0 });
  await pool.close();
  return run;
}

/** Time and CPU of the process from here on. */
class Watch {
  readonly #cpu = process.cpuUsage();
  readonly #began = now();

  stop(what: Pick<Run, 'messages' | 'sum' | 'disorder'>): Run {
    const ns = now() - this.#began;
    const { user, system } = process.cpuUsage(this.#cpu);
    return { ...what, ns, cpuUs: user + system };
  }
}
