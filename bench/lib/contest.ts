/** Contestants side by side: who takes when a turn, and the rows that come of it. */
import { type Child, withChildren } from './child.ts';
import type { Row } from './rows.ts';
import { median, mirrored, ratioOf, spread } from './stats.ts';

/** What a case is told by the command line, and how it says what it does. */
export interface Bench {
  readonly suite: string;
  readonly quick: boolean;
  readonly floodSeconds: number;
  progress(text: string): void;
}

/** One table. */
export interface Case {
  readonly name: string;
  /** Names of its tables, where they are not just its own. */
  readonly tables?: readonly string[];
  /** For the report: what is measured, and how. */
  readonly about: string;
  run(bench: Bench): Promise<Row[]>;
}

export interface Contestant {
  readonly name: string;
  open(): Promise<Child>;
  /** Runs until its code is compiled. */
  warm?(child: Child): Promise<unknown>;
}

export interface Plan {
  /** How often all contestants start anew, in fresh processes. */
  readonly rounds: number;
  /** Turns that each takes in a round; an even number, so that every order has its mirror. */
  readonly passes: number;
}

/** Samples by contestant, in the order of the runs. */
export type Samples<S> = Map<string, S[]>;

export async function contest<S>(
  bench: Bench,
  contestants: readonly Contestant[],
  { rounds, passes }: Plan,
  sample: (child: Child, name: string, pass: number) => Promise<S>,
): Promise<Samples<S>> {
  const samples: Samples<S> = new Map();
  for (let round = 0; round < rounds; round++)
    await withWarm(bench, contestants, children => takeTurns(bench, contestants, children, passes, samples, sample));
  return samples;
}

/** Opens and warms all contestants, for cases that sample more than one thing of each. */
export function withWarm<T>(
  bench: Bench,
  contestants: readonly Contestant[],
  use: (children: Child[]) => Promise<T>,
): Promise<T> {
  bench.progress(`${contestants.length} start`);
  const opening = contestants.map(
    ({ name, open }) =>
      () =>
        naming(name, open()),
  );
  return withChildren(opening, async children => {
    for (const [i, { name, warm }] of contestants.entries()) {
      bench.progress(`${name} warms up`);
      if (warm) await naming(name, warm(children[i]!));
    }
    return use(children);
  });
}

/** Lets children take turns, there and back again, and adds what `sample` gives to `samples`. */
export async function takeTurns<S>(
  bench: Bench,
  contestants: readonly Pick<Contestant, 'name'>[],
  children: readonly Child[],
  passes: number,
  samples: Samples<S>,
  sample: (child: Child, name: string, pass: number) => Promise<S>,
): Promise<void> {
  for (const [pass, order] of mirrored(children.length, passes).entries())
    for (const index of order) {
      const { name } = contestants[index]!;
      bench.progress(`${name}, pass ${pass + 1} of ${passes}`);
      const one = await naming(name, sample(children[index]!, name, pass));
      samples.set(name, [...(samples.get(name) ?? []), one]);
    }
}

/** Says whose failure it is. */
async function naming<T>(name: string, result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw new Error(`${name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

export interface Metric {
  readonly metric: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
}

export interface Comparison {
  /** Whose ratios are wanted. */
  readonly subject: string;
  /** To whom; all others by default. */
  readonly to?: readonly string[];
  /** The best of these by its median is compared under a name of its own. */
  readonly best?: { readonly name: string; readonly of: readonly string[] };
  readonly target?: (ratioTo: string) => Row['target'];
}

/** Rows of one metric: a row for everyone, and for the subject one for each ratio, the value repeated. */
export function rowsOf(
  bench: Bench,
  name: string,
  metric: Metric,
  figures: Samples<number>,
  compare?: Comparison,
): Row[] {
  const rows: Row[] = [];
  const base = { suite: bench.suite, case: name, ...metric };
  for (const [by, samples] of figures)
    rows.push({ ...base, by, value: median(samples), spread: spread(samples), samples });
  if (!compare) return rows;
  const ours = figures.get(compare.subject)!;
  const add = (ratioTo: string, theirs: readonly number[], note?: string): void => {
    const ratio = ratioOf(ours, theirs);
    const target = compare.target?.(ratioTo);
    rows.push({
      ...base,
      by: compare.subject,
      value: median(ours),
      ratioTo,
      ratio: ratio.value,
      ratioSpread: ratio.spread,
      ...(target ? { target } : {}),
      ...(note ? { note } : {}),
    });
  };
  for (const by of compare.to ?? figures.keys()) if (by !== compare.subject) add(by, figures.get(by)!);
  if (compare.best) {
    const sign = metric.better === 'higher' ? -1 : 1;
    const [best] = compare.best.of.toSorted((a, b) => sign * (median(figures.get(a)!) - median(figures.get(b)!)));
    add(compare.best.name, figures.get(best!)!, best);
  }
  return rows;
}

/** The same samples, seen as one figure each. */
export function figuresOf<S>(samples: Samples<S>, figure: (sample: S) => number): Samples<number> {
  return new Map([...samples].map(([name, all]) => [name, all.map(figure)]));
}
