/** Asks of a Redis on the same machine: one by one and in lists, from one thread and from four. */
import { withChildren } from '../lib/child.ts';
import { type Bench, type Case, figuresOf, rowsOf, type Samples, takeTurns } from '../lib/contest.ts';
import type { Row } from '../lib/rows.ts';
import { askOnce, openIoredis, openOurs, type Side } from './contestants.ts';
import {
  ASKS_PER_SECOND,
  CPU_PER_ASK,
  cpuPerAsk,
  type Load,
  perSecond,
  READS_OF_SERVER,
  readsPerThousand,
  type Witnessed,
} from './load.ts';
import { withServer } from './server.ts';

type What = Load['what'];

const ONE = 'keymill, 1 thread';
const FOUR = 'keymill, 4 threads';
const AUTO = 'ioredis auto';
const AUTO_FOUR = 'ioredis auto, 4 lists';
const BEST_AUTO = 'best ioredis auto';

/** The children: keymill, ioredis in its three ways. */
const SIDES: Readonly<Record<'single' | 'lists', readonly Side[]>> = {
  single: [
    { name: ONE, child: 0, callers: 1 },
    { name: FOUR, child: 0, callers: 4 },
    { name: 'ioredis', child: 1, callers: 1 },
    { name: AUTO_FOUR, child: 2, callers: 4 },
  ],
  lists: [
    { name: ONE, child: 0, callers: 1 },
    { name: FOUR, child: 0, callers: 4 },
    { name: AUTO, child: 2, callers: 1 },
    { name: AUTO_FOUR, child: 2, callers: 4 },
    { name: 'ioredis pipeline', child: 3, callers: 1 },
  ],
};

const NAMES: Readonly<Record<What, string>> = { get: 'get', set: 'set', setVersioned: 'versioned set' };
const DEPTHS = [1, 100, 500] as const;

/** Of a run, and so that they are a multiple of callers × depth. */
const ASKS = { 1: 2000, 100: 80_000, 500: 80_000 } as const;
/** Before a child counts: its code must be compiled, in all of its threads. */
const WARM = { full: 400_000, quick: 40_000 };

interface Cell {
  readonly what: What;
  readonly depth: (typeof DEPTHS)[number];
}

const nameOf = ({ what, depth }: Cell): string => `${NAMES[what]}, ${depth === 1 ? 'one by one' : `lists of ${depth}`}`;

const CELLS: readonly Cell[] = (['get', 'set', 'setVersioned'] as const).flatMap(what =>
  DEPTHS.map(depth => ({ what, depth })),
);
const QUICK: readonly Cell[] = [
  { what: 'get', depth: 1 },
  { what: 'get', depth: 100 },
  { what: 'setVersioned', depth: 100 },
];

export const asks: Case = {
  name: 'asks',
  tables: CELLS.map(nameOf),
  about:
    'Values of 100 B at 1,000 keys of each caller. A list is made at once, and the next when all of it is answered. keymill: handlers on one or four hosts ask one I/O actor, a list open on each; every write is one that may be resent, with its life, and a versioned one keeps its version. ioredis: one thread, one connection; `auto` is enableAutoPipelining with one list open, or with four at once, `pipeline` a pipeline made by hand of each list; versioned writes are the shortest script that compares and sets both keys. Lives are the same. Every reply is checked; the server must have been asked so often, and hold the values and versions that were written last. CPU is that of the client’s process with all its threads. Reads of the server are those from its sockets: what the seed calls network calls.',
  run: bench =>
    withServer(bench, async server => {
      const cells = bench.quick ? QUICK : CELLS;
      const runs = new Map<Cell, Samples<Witnessed>>(cells.map(cell => [cell, new Map()]));
      const { url } = server;
      const opening = [
        () => openOurs(url),
        ...(['plain', 'auto', 'pipeline'] as const).map(mode => () => openIoredis(url, mode)),
      ];
      for (let round = 0; round < (bench.quick ? 1 : 2); round++) {
        bench.progress(`${opening.length} start`);
        await withChildren(opening, async children => {
          bench.progress('all warm up');
          for (const what of new Set(cells.map(cell => cell.what)))
            for (const child of children)
              await askOnce(server, child, {
                what,
                depth: 100,
                callers: 4,
                asks: bench.quick ? WARM.quick : WARM.full,
              });
          for (const [cell, samples] of runs) {
            const { what, depth } = cell;
            const sides = depth === 1 ? SIDES.single : SIDES.lists;
            const its = sides.map(({ child }) => children[child]!);
            const sample = (child: (typeof its)[number], name: string): Promise<Witnessed> => {
              const { callers } = sides.find(side => side.name === name)!;
              return askOnce(server, child, { what, depth, callers, asks: ASKS[depth] / (bench.quick ? 2 : 1) });
            };
            await takeTurns(bench, sides, its, 1, new Map(), sample);
            await takeTurns(bench, sides, its, 2, samples, sample);
          }
        });
      }
      return [...runs].flatMap(([cell, samples]) => rowsOfCell(bench, cell, samples));
    }),
};

function rowsOfCell(bench: Bench, cell: Cell, samples: Samples<Witnessed>): Row[] {
  const name = nameOf(cell);
  const isRace = cell.depth > 1;
  const rivals = [...samples.keys()].filter(by => by !== ONE && by !== FOUR);
  const best = isRace ? { best: { name: BEST_AUTO, of: [AUTO, AUTO_FOUR] } } : {};
  const target = (ratioTo: string): Row['target'] => (ratioTo === BEST_AUTO ? { of: 'ratio', atLeast: 1 } : undefined);
  const ratios = (metric: typeof ASKS_PER_SECOND | typeof CPU_PER_ASK, figure: (run: Witnessed) => number): Row[] => {
    const figures = figuresOf(samples, figure);
    const isSpeed = metric === ASKS_PER_SECOND;
    return [
      ...rowsOf(bench, name, metric, figures, {
        subject: FOUR,
        to: isRace ? rivals : rivals.slice(-1),
        ...(isSpeed ? { ...best, target } : {}),
      }),
      ...rowsOf(bench, name, metric, figures, { subject: ONE, to: rivals.slice(0, 1) }).filter(row => row.ratioTo),
    ];
  };
  return [
    ...ratios(ASKS_PER_SECOND, perSecond),
    ...ratios(CPU_PER_ASK, cpuPerAsk),
    ...rowsOf(bench, name, READS_OF_SERVER, figuresOf(samples, readsPerThousand)),
  ];
}
