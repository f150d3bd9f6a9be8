/** A long queue and many short ones on one host: who is through when. */
import { Child, type Commands } from '../lib/child.ts';
import { sleep } from '../lib/clock.ts';
import { type Case, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import { BIG_KEY, Messages } from '../lib/message.ts';
import { Tally } from '../lib/tally.ts';
import { type ActorName, settled, settledTells, startBench } from '../rivals/keymill.ts';
import { Proof } from './proof.ts';

const BIG = 10_000;
const SMALL = 10_000;

export async function open(): Promise<Commands> {
  const tally = new Tally();
  const { runtime, close } = await startBench({ workers: 1 });
  const messages = new Messages({ keys: SMALL, bytes: 0 }); // of all runs: their numbers must go on growing
  const proof = new Proof(tally, messages, {
    ordered: true,
    acknowledged: async () => (await settledTells(runtime)) - blocks,
  });
  let blocks = 0;
  return {
    /** Percent of the big key that were handled when the last small one was. */
    async run({ actor }: { actor: ActorName }): Promise<number> {
      const handled = tally.total + BIG + SMALL;
      const before = await settledTells(runtime);
      await proof.of({}, async () => {
        // The host stands still until all are sent, or the first ones would be through before the last ones come.
        tally.setGate(false);
        await runtime.tell('block', { n: blocks++ });
        await sleep(50);
        for (let i = 0; i < BIG; i++) {
          const message = messages.makeFor(BIG_KEY);
          if (!runtime.tryTell(actor, message)) throw new Error('no room for the big key');
        }
        for (let i = 0; i < SMALL; i++) {
          const message = messages.makeFor(`account-${i}`);
          if (!runtime.tryTell(actor, message)) throw new Error('no room for the small keys');
        }
        await sleep(50);
        tally.setGate(true);
        await settled(runtime, before + 1 + BIG + SMALL, tally, handled);
      });
      const { bigAtLastSmall } = await runtime.ask('turns', { n: blocks });
      return (100 * bigAtLastSmall) / BIG;
    },
    close,
  };
}

/** With options as they are by default, but for the flush time of the second. */
const ACTORS: Record<string, ActorName> = {
  handle: 'fair',
  'handleBatch, flushMs 0': 'fairBatch',
  'handleBatch, flushMs 200': 'fairFlush',
};

export const fairTurns: Case = {
  name: 'fair turns',
  about: `${BIG.toLocaleString('en')} messages of one key and then one each of ${SMALL.toLocaleString('en')} others, all there before the host takes its first turn. How much of the big key is handled when the last small one is. With its default flush time a batch handler lets a key with one message wait 200 ms for more, and the big key goes on meanwhile.`,
  async run(bench) {
    const names = Object.keys(ACTORS).map(name => ({ name }));
    const samples: Samples<number> = new Map();
    await withWarm(bench, [{ name: 'keymill', open: () => Child.open(import.meta.url, {}) }], ([child]) =>
      takeTurns(
        bench,
        names,
        names.map(() => child!),
        bench.quick ? 1 : 5,
        samples,
        (one, name) => one.call('run', { actor: ACTORS[name] }),
      ),
    );
    const metric = { metric: 'big key handled', unit: '%', better: 'lower' } as const;
    return rowsOf(bench, this.name, metric, samples).map(row => ({
      ...row,
      target: { of: 'value' as const, atMost: 50 },
    }));
  },
};
