/** One key whose handler takes very long, and what the other keys notice of it. */
import { Child, type Commands } from '../lib/child.ts';
import { sleep } from '../lib/clock.ts';
import { type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import { type Counts, Histogram } from '../lib/histogram.ts';
import { Messages, SLOW_KEY } from '../lib/message.ts';
import { Tally } from '../lib/tally.ts';
import { settled, settledTells, startBench } from '../rivals/keymill.ts';
import { SLOW_MS } from '../rivals/topology.ts';
import { inBursts, type Send } from './drive.ts';
import { type Paced, Proof, type Run } from './proof.ts';

/** Messages to the slow key at the start of a run: one is handled, the others stand behind it. */
const SLOW_MESSAGES = 100;
const KEYS = 9_999;
const BURST = 20;
/** From the messages for the slow key to the first of the others. */
const APART_MS = 5;
/** Short runs whose latencies make one figure: a stall of the machine should meet both sides of a pair. */
const PIECES = 16;

export async function open(): Promise<Commands> {
  const tally = new Tally();
  const { runtime, close } = await startBench({ workers: 1 });
  const messages = new Messages({ keys: KEYS, bytes: 0 });
  const proof = new Proof(tally, messages, { ordered: true, acknowledged: () => settledTells(runtime) });
  const send: Send = message => (runtime.tryTell('work', message) ? undefined : runtime.tell('work', message));
  return {
    /** The gate opens when all others are through, so that the slow key does not make the next run wait. */
    bursts: ({ slow, ms }: { slow: boolean; ms: number }): Promise<Run & Paced> =>
      proof.paced('tell', async () => {
        tally.setGate(false);
        const kept = slow ? SLOW_MESSAGES : 0;
        for (let i = 0; i < kept; i++) await send(messages.makeFor(SLOW_KEY));
        await sleep(APART_MS);
        const paced = await inBursts(send, messages, { size: BURST, ms });
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

function merged(pieces: readonly Counts[]): Histogram[] {
  return Array.from({ length: pieces.length / PIECES }, (_, i) =>
    Histogram.of(...pieces.slice(i * PIECES, (i + 1) * PIECES)),
  );
}

const WITH = 'keymill, one key slow';
const WITHOUT = 'keymill, none slow';

export const slowKey: Case = {
  name: 'slow key',
  about: `${BURST} messages a millisecond, sent at once, to ${KEYS.toLocaleString('en')} keys on one host, and one more key whose asynchronous handler takes ${SLOW_MS / 1000} s a message, with ${SLOW_MESSAGES} messages waiting for it. A run is shorter than one of these calls, so the key is held all the time; at the end they are let go. The others’ latencies, from sent to handled, with and without that key: ${PIECES} short runs of each, in turns, make one figure.`,
  async run(bench) {
    if (bench.quick) return []; // for seconds code is compiled, which its p99 shows
    const names = [{ name: WITH }, { name: WITHOUT }];
    const runs: Samples<Run & Paced> = new Map();
    await withWarm(bench, [{ name: 'keymill', open: () => Child.open(import.meta.url, {}) }], async ([child]) => {
      const run = (slow: boolean, ms: number): Promise<Run & Paced> => child!.call('bursts', { slow, ms });
      // Until then code is compiled, in threads that want the cores of those that are measured.
      for (let i = 0; i < 10; i++) await run(i % 2 === 0, 1000);
      const figures = 20;
      await takeTurns(bench, names, [child!, child!], figures * PIECES, runs, (_child, name) =>
        run(name === WITH, 300),
      );
    });
    const counts = new Map([...runs].map(([name, all]) => [name, merged(all.map(({ handled }) => handled.latencies))]));
    return [0.5, 0.99].flatMap(share =>
      rowsOf(
        bench,
        this.name,
        { metric: `one way p${share * 100}`, unit: 'µs', better: 'lower' },
        figuresOf(counts, histogram => histogram.quantile(share) / 1000),
        { subject: WITH, ...(share === 0.99 ? { target: () => ({ of: 'ratio' as const, atMost: 1.1 }) } : {}) },
      ),
    );
  },
};
