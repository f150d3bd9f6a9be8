/** Whether keys that were used once leave nothing behind. */
import { Child, type Commands } from '../lib/child.ts';
import { now, sleep } from '../lib/clock.ts';
import { type Case, rowsOf, withWarm } from '../lib/contest.ts';
import { Messages } from '../lib/message.ts';
import { Tally } from '../lib/tally.ts';
import { settled, settledTells, startBench } from '../rivals/keymill.ts';
import { tells } from './drive.ts';
import { hostHeaps, memory } from './heaps.ts';
import { gauge } from './metrics.ts';
import { Proof } from './proof.ts';

const KEYS = { full: 1_000_000, quick: 100_000 };
const MiB = 2 ** 20;
const PATIENCE_MS = 60_000;

interface Left {
  heapMiB: number;
  rssMiB: number;
  seconds: number;
}

export async function open(): Promise<Commands> {
  const tally = new Tally();
  const { runtime, close } = await startBench({ workers: 1, set: { 'actors.work.passivateMs': 1000 } });
  return {
    async run({ keys }: { keys: number }): Promise<Left> {
      const heaps = (): Promise<number> => hostHeaps(runtime);
      const before = await memory(heaps);
      const messages = new Messages({ keys: 0, bytes: 0 });
      const proof = new Proof(tally, messages, { ordered: true, acknowledged: () => settledTells(runtime) });
      await proof.of({}, async () => {
        await tells(
          message => (runtime.tryTell('work', message) ? undefined : runtime.tell('work', message)),
          messages,
          { ms: 0, count: keys },
        );
        await settled(runtime, keys, tally);
      });
      const began = now();
      while (gauge(await runtime.metrics(), 'keymill_resident_keys', { actor: 'work' }) > 0) {
        if (now() - began > PATIENCE_MS * 1e6) throw new Error('keys are still resident');
        await sleep(100);
      }
      const seconds = (now() - began) / 1e9;
      const after = await memory(heaps);
      return { heapMiB: (after.heap - before.heap) / MiB, rssMiB: (after.rss - before.rss) / MiB, seconds };
    },
    close,
  };
}

export const passivation: Case = {
  name: 'passivation',
  about: `${KEYS.full.toLocaleString('en')} keys (${KEYS.quick.toLocaleString('en')} with \`--quick\`) on one host, each with a state, touched once, and then idle for longer than \`passivateMs\` (1 s here). The used heap of the main thread and the host after forced collections, over what it was before the first message.`,
  async run(bench) {
    const keys = bench.quick ? KEYS.quick : KEYS.full;
    const all: Left[] = [];
    for (let round = 0; round < (bench.quick ? 1 : 3); round++)
      await withWarm(bench, [{ name: 'keymill', open: () => Child.open(import.meta.url, {}) }], async ([child]) =>
        all.push(await child!.call<Left>('run', { keys })),
      );
    const rows = (metric: string, unit: string, figure: (left: Left) => number) =>
      rowsOf(bench, this.name, { metric, unit, better: 'lower' }, new Map([['keymill', all.map(figure)]])).map(row => ({
        ...row,
        note: `${keys.toLocaleString('en')} keys`,
      }));
    return [
      ...rows('heap left', 'MiB', left => left.heapMiB).map(row => ({
        ...row,
        target: { of: 'value' as const, atMost: 16 },
      })),
      ...rows('resident memory left', 'MiB', left => left.rssMiB),
      ...rows('time to leave', 's', left => left.seconds),
    ];
  },
};
