/** One, two and four threads that handle messages. */
import { type Bench, type Case, figuresOf, rowsOf, type Samples, takeTurns, withWarm } from '../lib/contest.ts';
import type { Row } from '../lib/rows.ts';
import type { RivalName } from '../rivals/rival.ts';
import { driven, MESSAGES_PER_SECOND, perSecond } from './drivers.ts';
import type { Run } from './proof.ts';

/** Rounds of arithmetic of a handler (lib/handle.ts), and messages of a run: a second of it on one core at most. */
const WORK = 25_000;
const MESSAGES = { full: 8000, quick: 2000 };

const FEW: [rival: RivalName, workers: number][] = [
  ['keymill', 1],
  ['keymill', 2],
  ['keymill', 4],
  ['postMessage', 2],
  ['piscina disabled', 2],
];
const FIELD: typeof FEW = [
  ...FEW,
  ['postMessage', 1],
  ['postMessage', 4],
  ['piscina disabled', 1],
  ['piscina disabled', 4],
  ['plain', 1],
];

const SMALL = 'hosts, small handler';
const COMPUTING = 'hosts, computing handler';

const nameOf = (rival: string, workers: number): string => `${rival} × ${workers}`;

export const hosts: Case = {
  name: 'hosts',
  tables: [SMALL, COMPUTING],
  about:
    'Threads that handle messages: 1, 2, 4 for keymill and its rivals. Once with the handler of the other cases, and once with one that computes (25,000 rounds of integer arithmetic: `plain` shows how long that is), where more cores must help; of them the sender needs a little too.',
  async run(bench) {
    const contestants = (bench.quick ? FEW : FIELD).map(([rival, workers]) =>
      driven(rival, { workers }, { name: nameOf(rival, workers) }),
    );
    const small: Samples<Run> = new Map();
    const computing: Samples<Run> = new Map();
    const passes = bench.quick ? 2 : 4;
    for (let round = 0; round < (bench.quick ? 1 : 3); round++)
      await withWarm(bench, contestants, async children => {
        if (!bench.quick)
          await takeTurns(bench, contestants, children, passes, small, child => child.call('tells', { ms: 600 }));
        await takeTurns(bench, contestants, children, passes, computing, child =>
          child.call('tells', { ms: 0, count: bench.quick ? MESSAGES.quick : MESSAGES.full, work: WORK }),
        );
      });
    return [...(bench.quick ? [] : rows(bench, SMALL, small)), ...rows(bench, COMPUTING, computing)];
  },
};

function rows(bench: Bench, name: string, runs: Samples<Run>): Row[] {
  const figures = figuresOf(runs, perSecond);
  const ratios = (workers: number, ...to: string[]): Row[] =>
    rowsOf(bench, name, MESSAGES_PER_SECOND, figures, { subject: nameOf('keymill', workers), to }).filter(
      row => row.ratio !== undefined,
    );
  return [
    ...rowsOf(bench, name, MESSAGES_PER_SECOND, figures),
    ...ratios(2, nameOf('keymill', 1), nameOf('postMessage', 2), nameOf('piscina disabled', 2)),
    ...ratios(4, nameOf('keymill', 1)),
  ];
}
