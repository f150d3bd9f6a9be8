/** The package as npm makes and installs it: what it holds, that it runs on its own, and that its types reach the user. */
import { cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Ended, fixture, jsonOf, ROOT, Running, type RunOptions } from '../support/cli.ts';

const NODE = join(ROOT, 'node_modules/node/bin/node');
/** Scripts of npm find the checkout's own Node first. */
const env = { PATH: [join(ROOT, 'node_modules/node/bin'), process.env['PATH']].join(delimiter) };

let folder: string;
let source: string;
let installed: string;
let tarball: string;

async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const ended = await new Running(command, args, { ...options, env: { ...env, ...options.env } }).ended;
  expect(ended.code, `${command} ${args.join(' ')}\n${ended.stdout}\n${ended.stderr}`).toBe(0);
  return ended;
}

/** Packs a copy of the sources, as `npm publish` would, and installs the tarball into an empty folder. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keymill-package-'));
  source = join(folder, 'source');
  installed = join(folder, 'installed');
  mkdirSync(source);
  for (const part of [
    'runtime',
    'actors',
    'examples/flights',
    'scripts',
    'package.json',
    'tsconfig.json',
    'LICENSE',
    'README.md',
  ])
    if (existsSync(join(ROOT, part)))
      cpSync(join(ROOT, part), join(source, part), { recursive: true, filter: path => !path.includes('.keymill') });
  symlinkSync(join(ROOT, 'node_modules'), join(source, 'node_modules'));
  await run('npm', ['pack', '--pack-destination', folder], { cwd: source });
  tarball = join(folder, (await readdir(folder)).find(name => name.endsWith('.tgz'))!);
  cpSync(fixture('installed'), installed, { recursive: true });
  await writeFile(join(installed, 'package.json'), '{ "private": true, "type": "module" }\n');
  await run('npm', ['install', tarball, '--no-audit', '--no-fund', '--prefer-offline'], { cwd: installed });
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

test('the build emits every source, and the package ships runtime and actors alone, as JavaScript with types', async () => {
  const sources = (await readdir(join(source, 'runtime'), { recursive: true })).filter(name => name.endsWith('.ts'));
  for (const name of sources)
    expect(existsSync(join(source, 'dist/runtime', name.replace(/\.ts$/, '.js'))), name).toBe(true);
  expect(existsSync(join(source, 'dist/examples/flights/topology.js'))).toBe(true);
  const root = join(installed, 'node_modules/keymill');
  const shipped = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = shipped
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(root.length + 1));
  for (const path of paths)
    expect(path).toMatch(
      /^(dist\/(runtime|actors)\/.*\.(js|d\.ts|json)|dist\/actors\/redis\/lua\/.*\.lua|docs\/.*|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/,
    );
  expect(paths).toContain('dist/runtime/host/entry.js');
  expect(paths).toContain('dist/actors/file/index.d.ts');
  expect(paths).toContain('dist/actors/redis/lua/batch.lua');
  const lines = (await readFile(join(root, 'dist/runtime/index.js'), 'utf8')).split('\n');
  expect(lines.filter(line => line.includes(".ts'"))).toEqual([]);
  // No maps: the sources they would lead to are not shipped, and the JavaScript is these without their types.
  for (const path of paths.filter(path => path.startsWith('dist/')))
    expect(await readFile(join(root, path), 'utf8'), path).not.toContain('sourceMappingURL');
});

test('publint finds nothing wrong', async () => {
  const ended = await run(NODE, [
    join(ROOT, 'node_modules/publint/src/cli.js'),
    'run',
    tarball,
    '--strict',
    '--level',
    'warning',
  ]);
  expect(ended.stdout).toContain('All good!');
});

test('the installed command runs a topology whose workers load the package', async () => {
  const bin = join(installed, 'node_modules/.bin/keymill');
  const ended = await run(NODE, [bin, 'start', 'topology.js', '--once', '--json', '--threads', '2'], {
    cwd: installed,
  });
  expect(jsonOf(ended)).toMatchObject({
    ok: true,
    messages: 1000,
    settled: { done: 1000 },
    perActor: { count: { handled: 1000 } },
    threads: 2,
  });
  const lines = (await readFile(join(installed, 'out/sums.ndjson'), 'utf8')).trimEnd().split('\n');
  const sums = Object.fromEntries(lines.map(line => JSON.parse(line)).map(({ key, sum }) => [key, sum]));
  expect(sums).toEqual(Object.fromEntries(Array.from({ length: 10 }, (_, digit) => [digit, 49_500 + 100 * digit])));
  expect(existsSync(join(installed, '.keymill/installed'))).toBe(true);
  const direct = await run(bin, ['--version'], { cwd: installed });
  expect(direct.stdout.trim()).toBe(JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')).version);
});

test('a host service embeds the installed package', async () => {
  const ended = await run(NODE, ['service.js'], { cwd: installed });
  expect(jsonOf<object>(ended)).toEqual({
    sum: 49_500 + 300 + 100_003,
    refused: true,
    report: { ok: true, unsettled: 0, spooled: 0, lost: 0 },
  });
});

test('the types of the installed package know messages and replies', async () => {
  const options = {
    module: 'nodenext',
    target: 'es2023',
    lib: ['es2024'],
    strict: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(ROOT, 'node_modules/@types')],
  };
  await writeFile(join(installed, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['typed.ts'] }));
  await run(NODE, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', installed]);
});
