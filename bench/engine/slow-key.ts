/** One key whose handler takes very long, and what the other keys notice of it. */
import { Child, type Commands } from '../lib/child.ts';
import { type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import { Histogram } from '../lib/histogram.ts';
import { Messages, SLOW_KEY } from '../lib/message.ts';
import { Tally } from '../lib/tally.ts';
import { settled, settledTells, startBench } from '../rivals/keymill.ts';
import { SLOW_MS } from '../rivals/topology.ts';
import { atPace, type Pace, type Send } from './drive.ts';
import { type Paced, Proof, type Run } from './proof.ts';

/** Messages to the slow key at the start of a run: one is handled, the others stand behind it. */
const SLOW_MESSAGES = 100;
const KEYS = 9_999;
const RATE = 20_000;

export async function open(): Promise<Commands> {
  const tally = new Tally();
  const { runtime, close } = await startBench({ workers: 1 });
  const messages = new Messages({ keys: KEYS, bytes: 0 });
  const proof = new Proof(tally, messages, { ordered: true, acknowledged: () => settledTells(runtime) });
  const send: Send = message => (runtime.tryTell('work', message) ? undefined : runtime.tell('work', message));
  return {
    /** The gate opens when all others are through, so that the slow key does not make the next run wait. */
    paced: ({ slow, ...pace }: Pace & { slow: boolean }): Promise<Run & Paced> =>
      proof.paced('tell', async () => {
        tally.setGate(false);
        const kept = slow ? SLOW_MESSAGES : 0;
        for (let i = 0; i < kept; i++) await send(messages.makeFor(SLOW_KEY));
        const paced = await atPace({ send }, messages, pace);
        await settled(runtime, messages.next - 1 - kept, tally);
        if (slow && (await settledTells(runtime)) !== messages.next - 1 - kept)
          throw new Error('the slow key was through before the others');
        tally.setGate(true);
        await settled(runtime, messages.next - 1, tally);
        return paced;
      }),
    close,
  };
}

const WITH = 'keymill, one key slow';
const WITHOUT = 'keymill, none slow';

export const slowKey: Case = {
  name: 'slow key',
  about: `${RATE.toLocaleString('en')} messages a second to ${KEYS.toLocaleString('en')} keys on one host, and one more key whose asynchronous handler takes ${SLOW_MS / 1000} s a message, with ${SLOW_MESSAGES} messages waiting for it. A run is shorter than one of these calls, so the key is held all the time; at the end they are let go. The others’ latencies, from due to handled, with and without that key.`,
  async run(bench) {
    const names = [{ name: WITH }, { name: WITHOUT }];
    const runs: Samples<Run & Paced> = new Map();
    await withWarm(bench, [{ name: 'keymill', open: () => Child.open(import.meta.url, {}) }], async ([child]) => {
      const run = (slow: boolean, seed: number, ms: number): Promise<Run & Paced> =>
        child!.call('paced', { slow, rate: RATE, ms, seed } satisfies Pace & { slow: boolean });
      await run(true, 98, 1000);
      await run(false, 99, 500);
      const passes = bench.quick ? 4 : 20;
      await takeTurns(bench, names, [child!, child!], passes, runs, (_child, name, pass) =>
        run(name === WITH, pass, bench.quick ? 300 : 5000),
      );
    });
    return [0.5, 0.99].flatMap(share =>
      rowsOf(
        bench,
        this.name,
        { metric: `one way p${share * 100}`, unit: 'µs', better: 'lower' },
        figuresOf(runs, ({ handled }) => Histogram.of(handled.latencies).quantile(share) / 1000),
        { subject: WITH, ...(share === 0.99 ? { target: () => ({ of: 'ratio' as const, atMost: 1.1 }) } : {}) },
      ),
    );
  },
};
