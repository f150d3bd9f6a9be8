/** Parts of the way of a message by themselves, in one thread, with tinybench. */
import { deserialize, serialize } from 'node:v8';
import { Bench as Tinybench } from 'tinybench';
import { FRAME_MESSAGES, FrameWriter, readFrame } from '../../runtime/lanes/frame.ts';
import { hashKey } from '../../runtime/lanes/key-hash.ts';
import { Arrival, Item, NOWHERE } from '../../runtime/mailbox/item.ts';
import { Mailbox } from '../../runtime/mailbox/mailbox.ts';
import { Turns } from '../../runtime/mailbox/turns.ts';
import { Child, type Commands } from '../lib/child.ts';
import { type Case, rowsOf, type Samples, withWarm } from '../lib/contest.ts';
import { type Message, Messages } from '../lib/message.ts';
import type { Row } from '../lib/rows.ts';

const SENDING = { slot: 0, incarnation: 1 };

/** By task: nanoseconds a message, of each of tinybench's samples' median and its neighbours. */
type Figures = Record<string, number>;

export async function open(): Promise<Commands> {
  const source = new Messages({ keys: 10_000, bytes: 0 });
  const batch = Array.from({ length: FRAME_MESSAGES }, () => source.make(0));
  const writer = new FrameWriter();
  const pack = () => {
    batch.forEach((message, i) => writer.add(envelopeOf(message, i), i + 1, 1 << 20));
    return writer.finish(SENDING, 0);
  };
  const frame = pack();
  const array = serialize(batch);
  const json = JSON.stringify(batch);
  const items = batch.map((message, i) => itemOf(message, i));
  const mailbox = new Mailbox(0, 'account-1', hashKey('account-1'));
  const turns = new Turns(1000);
  const mailboxes = batch.map(({ key }) => new Mailbox(0, key, hashKey(key)));
  const tasks: Record<string, () => unknown> = {
    'pack, frame': pack,
    'pack, v8 array': () => serialize(batch),
    'pack, JSON array': () => JSON.stringify(batch),
    'unpack, frame': () => readFrame(frame),
    'unpack, v8 array': () => deserialize(array),
    'unpack, JSON array': () => JSON.parse(json),
    'hash of a key': () => batch.reduce((sum, { key }) => sum + hashKey(key), 0),
    'mailbox, in and out': () => {
      for (const item of items) mailbox.push(item, 4);
      while (mailbox.shift() !== null);
    },
    'turn, in and out': () => {
      for (const one of mailboxes) turns.push(one, 0);
      while (turns.next(1) !== null);
    },
  };
  return {
    async run({ ms }: { ms: number }): Promise<Figures> {
      const bench = new Tinybench({ time: ms, warmupTime: ms / 2, throws: true });
      for (const [name, task] of Object.entries(tasks)) bench.add(name, () => void task());
      await bench.run();
      return Object.fromEntries(
        bench.tasks.map(({ name, result }) => {
          if (!('latency' in result)) throw new Error(`${name} has no result`);
          return [name, (result.latency.p50 * 1e6) / FRAME_MESSAGES];
        }),
      );
    },
    close: async () => undefined,
  };
}

function envelopeOf(message: Message, position: number) {
  const hash = hashKey(message.key);
  return {
    actor: 0,
    key: message.key,
    hash,
    number: 0,
    body: message,
    source: 'tell',
    epoch: 1,
    position,
    path: '',
    flags: 2,
    extras: null,
  };
}

const ARRIVAL = new Arrival('tell', 1, 2, 0);

function itemOf(message: Message, i: number): Item {
  return new Item(message, message.key, hashKey(message.key), NOWHERE, i, 80, ARRIVAL, i, '', null);
}

export const micro: Case = {
  name: 'micro',
  about: `Parts of the way of a small message in one thread, by tinybench, over ${FRAME_MESSAGES} messages of as many keys at a time; nanoseconds a message, the median of its samples. v8’s serializer is what postMessage uses. \`pack, frame\` makes the key’s hash too.`,
  async run(bench) {
    const samples: Samples<number> = new Map();
    const runs = bench.quick ? 1 : 5;
    for (let i = 0; i < runs; i++)
      await withWarm(bench, [{ name: 'tinybench', open: () => Child.open(import.meta.url, {}) }], async ([child]) => {
        const figures = await child!.call<Figures>('run', { ms: bench.quick ? 300 : 1000 });
        for (const [name, ns] of Object.entries(figures)) samples.set(name, [...(samples.get(name) ?? []), ns]);
      });
    const metric = { metric: 'time', unit: 'ns/message', better: 'lower' } as const;
    const ratios = (subject: string, to: string[]): Row[] =>
      rowsOf(bench, this.name, metric, samples, { subject, to }).filter(row => row.ratio !== undefined);
    return [
      ...rowsOf(bench, this.name, metric, samples),
      ...ratios('pack, frame', ['pack, v8 array', 'pack, JSON array']),
      ...ratios('unpack, frame', ['unpack, v8 array', 'unpack, JSON array']),
    ];
  },
};
