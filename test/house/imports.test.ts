/** Imports point one way (DESIGN, the house), time and chance come in as parameters, and files stay small (STYLE). */
import { describe, expect, it } from 'vitest';
import { codeOf, type Import, type SourceFile, sourcesOf } from './sources.ts';

const files = sourcesOf('runtime', 'actors');
const runtime = files.filter(file => file.path.startsWith('runtime/'));

/** The layer of a file: the first rank whose name begins its path below runtime/. */
const LAYERS: readonly (readonly string[])[] = [
  ['environment.ts', 'error-table-io.ts', 'error-table.ts', 'errors.ts', 'random.ts'],
  // The words: what users write, the contract of I/O, what threads count.
  ['topology/define.ts', 'topology/options.ts', 'io/', 'observe/'],
  ['policies/', 'lanes/'],
  ['mailbox/'],
  ['delivery/'],
  ['topology/plan.ts', 'topology/persist.ts', 'topology/cycles.ts', 'topology/warnings.ts'],
  ['host/'],
  ['supervisor/'],
  ['runtime.ts', 'testing/'],
  ['index.ts', 'cli/', 'web/'],
];

/** The chain that DESIGN names, from above to below. Here even types go down only. */
const CHAIN = ['cli/', 'supervisor/', 'host/', 'mailbox/', 'lanes/'];

function rankOf(path: string): number {
  const name = path.slice('runtime/'.length);
  const rank = LAYERS.findIndex(names =>
    names.some(layer => name === layer || (layer.endsWith('/') && name.startsWith(layer))),
  );
  if (rank < 0) throw new Error(`${path} belongs to no layer: name it in LAYERS`);
  return rank;
}

/** Each import of a file as `from > to`, if `isWrong`. */
function wrong(among: readonly SourceFile[], isWrong: (from: string, one: Import) => boolean): string[] {
  return among
    .flatMap(file => file.imports.filter(one => isWrong(file.path, one)).map(one => `${file.path} > ${one.target}`))
    .sort();
}

describe('imports', () => {
  it('are found at all', () => {
    expect(files.length).toBeGreaterThan(80);
    expect(files.flatMap(file => file.imports).length).toBeGreaterThan(400);
    expect(files.find(file => file.path === 'runtime/host/io-actor.ts')!.imports).toContainEqual({
      target: 'runtime/policies/policy.ts',
      isRelative: true,
      isType: false,
    });
    expect(files.find(file => file.path === 'runtime/lanes/lane.ts')!.imports).toContainEqual({
      target: 'runtime/environment.ts',
      isRelative: true,
      isType: true,
    });
  });

  it('lead to files that exist, by their whole name', () => {
    const known = new Set(files.map(file => file.path));
    expect(wrong(files, (_from, one) => one.isRelative && !known.has(one.target))).toEqual([]);
  });

  it('of code go down the layers, or stay within one', () => {
    expect(wrong(runtime, (from, one) => one.isRelative && !one.isType && rankOf(one.target) > rankOf(from))).toEqual(
      [],
    );
  });

  it('go down the chain cli, supervisor, host, mailbox, lanes, types too', () => {
    const at = (path: string): number => CHAIN.findIndex(layer => path.startsWith(`runtime/${layer}`));
    expect(wrong(runtime, (from, one) => at(from) >= 0 && at(one.target) >= 0 && at(one.target) < at(from))).toEqual(
      [],
    );
  });

  it('of types go up only where it is known', () => {
    expect(wrong(runtime, (from, one) => one.isRelative && one.isType && rankOf(one.target) > rankOf(from))).toEqual([
      'runtime/delivery/park.ts > runtime/host/parking.ts', // the store keeps what the host parks
      'runtime/io/contract.ts > runtime/policies/options.ts', // a driver names the policies around it
    ]);
  });

  it('never lead from the engine to an I/O actor', () => {
    expect(wrong(runtime, (_from, one) => one.target.startsWith('actors/'))).toEqual([]);
  });

  it('of I/O actors take the public API, their own folder, or the contract of another', () => {
    const actors = files.filter(file => file.path.startsWith('actors/'));
    const folderOf = (path: string): string => path.split('/').slice(0, 2).join('/');
    expect(
      wrong(
        actors,
        (from, one) =>
          one.isRelative &&
          one.target !== 'runtime/index.ts' &&
          folderOf(one.target) !== folderOf(from) &&
          !one.target.endsWith('/contract.ts'),
      ),
    ).toEqual(['actors/cache/index.ts > actors/redis/index.ts']); // a cache is a store of that kind, and more
  });

  it('of code have no cycle', () => {
    const graph = new Map(
      files.map(file => [file.path, file.imports.filter(one => one.isRelative && !one.isType).map(one => one.target)]),
    );
    const done = new Set<string>();
    const visit = (path: string, trail: string[]): void => {
      if (trail.includes(path)) throw new Error(`a cycle: ${[...trail.slice(trail.indexOf(path)), path].join(' > ')}`);
      if (done.has(path)) return;
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    for (const path of graph.keys()) visit(path, []);
  });
});

describe('time and chance', () => {
  const CLOCKS =
    /\b(?:Date\.now|Math\.random|setTimeout|setImmediate|setInterval|performance\.now|process\.hrtime|new Date\(\))/g;

  it('come from the environment, or from a place that has a reason', () => {
    const found = runtime.flatMap(file => {
      const uses = new Set(codeOf(file.text).match(CLOCKS) ?? []);
      return uses.size === 0 ? [] : [`${file.path}: ${[...uses].sort().join(', ')}`];
    });
    expect(found.sort()).toEqual([
      // The terminal: what it shows while something runs, and the last second of a process.
      'runtime/cli/start.ts: setInterval, setTimeout',
      // The one place that stands between the engine and the system.
      'runtime/environment.ts: Math.random, performance.now, setImmediate, setTimeout',
      // The face to the host service: how long it has run, which no engine decision hangs on.
      'runtime/runtime.ts: performance.now',
      // Real threads: lets a worker that never booted end after the pool has heard of it.
      'runtime/supervisor/piscina-threads.ts: setImmediate',
      // The simulator itself lets real promises of drivers run between two steps.
      'runtime/testing/simulation.ts: setImmediate',
    ]);
  });
});

describe('files', () => {
  it('have at most 400 lines, but for these, which may only become fewer', () => {
    expect(
      files
        .filter(file => file.lines > 400)
        .map(file => file.path)
        .sort(),
    ).toEqual(['runtime/lanes/sender.ts', 'runtime/runtime.ts', 'runtime/supervisor/supervisor.ts']);
  });

  it('are named in kebab case', () => {
    expect(files.filter(file => !/^[a-z0-9/-]+\.ts$/.test(file.path)).map(file => file.path)).toEqual([]);
  });

  it('have no default export that is a class, no `any`, no parameter properties, no enum', () => {
    const bad = /export default class|:\s*any\b|\benum\s+[A-Z]|constructor\([^)]*\b(?:private|public|protected)\s/;
    const allowed = /biome-ignore lint\/suspicious\/noExplicitAny/;
    expect(
      files.filter(file => bad.test(codeOf(file.text)) && !allowed.test(file.text)).map(file => file.path),
    ).toEqual([]);
  });
});
