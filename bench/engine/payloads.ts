/** Settled tells with bytes in them. */
import { type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import { CPU_PER_MESSAGE, cpuPerMessage, driven, MESSAGES_PER_SECOND, perSecond, SMALL } from './drivers.ts';
import type { Run } from './proof.ts';

const FIELD = ['keymill', 'postMessage', 'postMessage arrays'] as const;
const SIZES = [
  { bytes: 100, name: '100 B' },
  { bytes: 1024, name: '1 KiB' },
  { bytes: 64 * 1024, name: '64 KiB' },
];

export const payloads: Case = {
  name: 'payloads',
  tables: SIZES.map(({ name }) => name),
  about:
    'Settled tells with a Uint8Array of this size. Nothing is transferred: the sender keeps its bytes, as it must where a message may have to be sent again. Handlers look at the length and at both ends.',
  async run(bench) {
    const contestants = FIELD.map(rival => driven(rival, { bytes: SIZES[0]!.bytes }));
    const runs = new Map<string, Samples<Run>>(SIZES.map(({ name }) => [name, new Map()]));
    for (let round = 0; round < (bench.quick ? 1 : 3); round++)
      await withWarm(bench, contestants, async children => {
        for (const { bytes, name } of bench.quick ? SIZES.slice(1, 2) : SIZES) {
          for (const child of children) {
            await child.call('become', { ...SMALL, bytes });
            await child.call('tells', { ms: 200 });
          }
          await takeTurns(bench, contestants, children, 4, runs.get(name)!, child =>
            child.call('tells', { ms: bench.quick ? 200 : 600 }),
          );
        }
      });
    const compare = { subject: 'keymill' };
    return [...runs].flatMap(([name, samples]) =>
      samples.size === 0
        ? []
        : [
            ...rowsOf(bench, name, MESSAGES_PER_SECOND, figuresOf(samples, perSecond), compare),
            ...rowsOf(bench, name, CPU_PER_MESSAGE, figuresOf(samples, cpuPerMessage), compare),
          ],
    );
  },
};
