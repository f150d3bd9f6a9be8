/** Memory of what waits and of what is resident. The child holds one contestant's messages and measures itself. */
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { Child, type Commands } from '../lib/child.ts';
import { turn } from '../lib/clock.ts';
import { type Bench, type Case, rowsOf, type Samples, withWarm } from '../lib/contest.ts';
import { Messages } from '../lib/message.ts';
import { Tally } from '../lib/tally.ts';
import { settled, settledTells, startBench } from '../rivals/keymill.ts';
import { workerFile } from '../rivals/rival.ts';
import { hostHeaps, type Memory, memory } from './heaps.ts';
import { Proof } from './proof.ts';

/** Fits the default window of a lane, so nobody waits. */
const QUEUED = 60_000;
const KEYS = 10_000;
const RESIDENT = 100_000;

/** What a contestant does for this case. */
interface Holder {
  /** Sends a message to a handler that waits at the gate. */
  hold(message: ReturnType<Messages['make']>): void;
  /** Sends a message whose key then has a state; null for contestants without a memory of keys. */
  touch: ((message: ReturnType<Messages['make']>) => Promise<void> | undefined) | null;
  drained(sent: number): Promise<void>;
  /** Heaps of its workers after a collection; of a worker that stands still, what it was before. */
  heaps(): Promise<number>;
  acknowledged(): Promise<number> | undefined;
  close(): Promise<void>;
}

export async function open({ holder: name }: { holder: keyof typeof HOLDERS }): Promise<Commands> {
  const tally = new Tally();
  const holder = await HOLDERS[name](tally);
  const taken = async (run: () => Promise<void>): Promise<Memory> => {
    const before = await memory(holder.heaps);
    await run();
    const after = await memory(holder.heaps);
    return { rss: after.rss - before.rss, heap: after.heap - before.heap };
  };
  const proofOf = (messages: Messages) =>
    new Proof(tally, messages, { ordered: holder.touch !== null, acknowledged: () => holder.acknowledged() });
  return {
    async queued(): Promise<Memory> {
      const messages = new Messages({ keys: KEYS, bytes: 0 });
      let result: Memory = { rss: 0, heap: 0 };
      await proofOf(messages).of({}, async () => {
        tally.setGate(false);
        result = await taken(async () => {
          for (let i = 0; i < QUEUED; i++) holder.hold(messages.make(0));
          await turn();
        });
        tally.setGate(true);
        await holder.drained(QUEUED);
      });
      return perPiece(result, QUEUED);
    },
    async resident(): Promise<Memory> {
      const messages = new Messages({ keys: RESIDENT, bytes: 0 });
      let result: Memory = { rss: 0, heap: 0 };
      await proofOf(messages).of({}, async () => {
        result = await taken(async () => {
          for (let i = 0; i < RESIDENT; i++) {
            const room = holder.touch!(messages.make(0));
            if (room !== undefined) await room;
          }
          await holder.drained(RESIDENT);
        });
      });
      return perPiece(result, RESIDENT);
    },
    close: () => holder.close(),
  };
}

const perPiece = ({ rss, heap }: Memory, pieces: number): Memory => ({ rss: rss / pieces, heap: heap / pieces });

const HOLDERS = {
  async keymill(tally: Tally): Promise<Holder> {
    const { runtime, close } = await startBench({ workers: 1 });
    return {
      hold(message) {
        if (!runtime.tryTell('held', message)) throw new Error('no room');
      },
      touch: message => (runtime.tryTell('work', message) ? undefined : runtime.tell('work', message)),
      drained: sent => settled(runtime, sent, tally),
      heaps: () => hostHeaps(runtime),
      acknowledged: () => settledTells(runtime),
      close,
    };
  },
  async postMessage(): Promise<Holder> {
    const worker = new Worker(workerFile('post-worker.ts'));
    const answer = <T>(question: unknown): Promise<T> => {
      worker.postMessage(question);
      return new Promise(resolve => worker.once('message', resolve));
    };
    let isHeld = false;
    let heap = 0;
    return {
      hold(message) {
        if (!isHeld) worker.postMessage({ hold: true });
        isHeld = true;
        worker.postMessage(message);
      },
      touch(message) {
        worker.postMessage(message);
        return undefined;
      },
      drained: () => answer({ end: true }),
      async heaps() {
        if (!isHeld) heap = (await answer<{ heap: number }>({ heap: 0 })).heap;
        return heap;
      },
      acknowledged: () => undefined,
      close: async () => void (await worker.terminate()),
    };
  },
  async piscina(): Promise<Holder> {
    const pool = new Piscina({
      filename: fileURLToPath(workerFile('pool-worker.ts')),
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: 256,
      atomics: 'disabled',
    });
    const tasks: Promise<unknown>[] = [];
    let done = 0;
    return {
      hold(message) {
        tasks.push(pool.run(message, { name: 'hold' }).then(() => done++));
      },
      touch: null,
      drained: async () => void (await Promise.all(tasks)),
      heaps: async () => 0,
      acknowledged: () => Promise.resolve(done),
      close: () => pool.destroy(),
    };
  },
} satisfies Record<string, (tally: Tally) => Promise<Holder>>;

const QUEUED_TABLE = 'memory of a queued message';
const RESIDENT_TABLE = 'memory of a resident key';

export const memoryCase: Case = {
  name: 'memory',
  tables: [QUEUED_TABLE, RESIDENT_TABLE],
  about: `What a small message costs while it waits for a handler, and a key while it is resident with a small state; in fresh processes, after collections, over ${QUEUED.toLocaleString('en')} messages of ${KEYS.toLocaleString('en')} keys and ${RESIDENT.toLocaleString('en')} keys. Resident memory of the process, both ends together; \`heap\` is the part in JavaScript heaps, which for postMessage’s queue is in none. keymill has each message twice while it waits: as bytes with the sender, to send them again, and unpacked with the host.`,
  async run(bench) {
    return [
      ...(await measured(bench, QUEUED_TABLE, 'queued', ['keymill', 'postMessage', 'piscina'])),
      ...(await measured(bench, RESIDENT_TABLE, 'resident', ['keymill', 'postMessage'])),
    ];
  },
};

async function measured(bench: Bench, name: string, command: string, field: (keyof typeof HOLDERS)[]) {
  const samples: Samples<Memory> = new Map();
  // Processes side by side: memory does not mind.
  for (let round = 0; round < (bench.quick ? 1 : 6); round++) {
    const contestants = field.map(holder => ({ name: holder, open: () => Child.open(import.meta.url, { holder }) }));
    await withWarm(bench, contestants, async children => {
      const all = await Promise.all(children.map(child => child.call<Memory>(command)));
      all.forEach((one, i) => {
        samples.set(field[i]!, [...(samples.get(field[i]!) ?? []), one]);
      });
    });
  }
  return (['rss', 'heap'] as const).flatMap(metric =>
    rowsOf(
      bench,
      name,
      { metric: metric === 'rss' ? 'resident memory' : 'heap', unit: 'bytes', better: 'lower' },
      new Map([...samples].map(([by, all]) => [by, all.map(one => one[metric])])),
      metric === 'rss' ? { subject: 'keymill' } : undefined,
    ),
  );
}
