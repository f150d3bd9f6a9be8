/**
 * What store.test.ts runs as a process or a thread of its own. `work FILE FROM`: publishes numbers and acknowledges what it
 * receives, until it is killed, and prints each when it is answered. `hold FILE`: has the bus open and says so.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { EmbeddedBus } from '../../actors/pulsar/bus/bus.ts';
import { systemEnvironment } from '../../runtime/environment.ts';

const [what, file, from] = process.argv.slice(2) as [string, string, string];
const quiet = (): void => {};
const bus = new EmbeddedBus(
  {
    file,
    fsync: 'batch',
    maxBytes: 0,
    maxMessageBytes: 1 << 20,
    autoCreate: true,
    deduplication: false,
    retention: { ms: 0, bytes: 0 },
  },
  systemEnvironment(),
  { debug: quiet, info: quiet, warn: quiet, error: quiet },
);
if (what === 'hold') {
  setInterval(quiet, 60_000);
  process.stdout.write('open\n');
} else {
  const producer = await bus.createProducer({ topic: 'numbers', name: 'p' });
  const consumer = await bus.subscribe({
    topics: ['numbers'],
    subscription: 's',
    type: 'Shared',
    initialPosition: 'Earliest',
  });
  const publishing = async (): Promise<void> => {
    for (let n = Number(from); ; n += 5) {
      const these = Array.from({ length: 5 }, (_, i) => n + i);
      await Promise.all(these.map(i => producer.send({ payload: String(i) })));
      process.stdout.write(these.map(i => `p${i}\n`).join(''));
      await turn(); // a pipe that is full must not make this process hold all it says
    }
  };
  const acknowledging = async (): Promise<void> => {
    for (let count = 0; ; count++) {
      const message = await consumer.receive();
      if (count % 7 === 3) continue; // some are left for the next process
      await consumer.acknowledge([message.id]);
      process.stdout.write(`a${Buffer.from(message.payload!).toString()}\n`);
    }
  };
  await Promise.all([publishing(), acknowledging()]);
}
