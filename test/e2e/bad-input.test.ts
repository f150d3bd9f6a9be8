/** What can be wrong, as a user meets it: each has its own code, says where, and what to do; 78 is the configuration, 1 the run. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, type TestContext, test } from 'vitest';
import { paintFor } from '../../runtime/cli/terminal.ts';
import {
  type Answer,
  type Ended,
  type ErrorAnswer,
  fixture,
  jsonOf,
  keymill,
  ROOT,
  type RunOptions,
} from '../support/cli.ts';
import { errorFrom, started } from '../support/runtimes.ts';
import { tempFolder } from '../support/temp-folder.ts';
import board from './fixtures/board.ts';

/** What a person and a program are told about the one thing that is wrong. */
interface Told {
  readonly code: number | null;
  readonly error: ErrorAnswer;
  readonly text: string;
}

/** Runs `keymill start` and checks that both answers have all their parts. */
async function refused(args: readonly string[], options: RunOptions = {}): Promise<Told> {
  const folder = await tempFolder('bad');
  const ended = await keymill(['start', ...args, '--once', '--json'], { cwd: folder, ...options }).ended;
  const { ok, error } = jsonOf(ended);
  expect(ok).toBe(false);
  expect(error, ended.stderr).toBeDefined();
  const text = ended.stderr;
  // The text is the same as the JSON: code and message, where, and what to do.
  expect(text).toContain(error!.message.replace(`${error!.code}: `, `${error!.code} `));
  for (const place of Object.values(error!.place)) expect(text).toContain(place);
  expect(text).toContain(`do: ${error!.todo}`);
  return { code: ended.code, error: error!, text };
}

async function deadLetters(folder: string): Promise<{ id: string; error: ErrorAnswer; message: unknown }[]> {
  const text = await readFile(join(folder, 'data/dead-letters.ndjson'), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line));
}

/** A run that ends well, in a folder of its own or the one given. */
async function ran(args: readonly string[], cwd: string): Promise<{ summary: Answer; ended: Ended }> {
  const ended = await keymill(['start', ...args, '--once', '--json', '--data', 'data'], { cwd }).ended;
  expect(ended.code, ended.stderr).toBe(0);
  return { summary: jsonOf(ended), ended };
}

// ── modules and options ────────────────────────────────────────────────────────────────────────────────────────────

test('a topology file that is not there, or is none, is TOPOLOGY_MISSING', async () => {
  const missing = await refused(['nowhere.ts']);
  expect(missing).toMatchObject({ code: 78, error: { code: 'TOPOLOGY_MISSING', place: { at: 'nowhere.ts' } } });
  const none = await refused([fixture('bad/not-a-topology.ts')]);
  expect(none).toMatchObject({
    code: 78,
    error: { code: 'TOPOLOGY_MISSING', place: { at: fixture('bad/not-a-topology.ts') } },
  });
  expect(none.error.message).toContain('not made by defineTopology');
});

test('an actor module without a default export is ACTOR_MODULE_NO_DEFAULT', async () => {
  const told = await refused([fixture('bad/uses-no-default.ts')]);
  expect(told).toMatchObject({ code: 78, error: { code: 'ACTOR_MODULE_NO_DEFAULT', place: { at: 'actors.orders' } } });
  expect(told.error.message).toMatch(
    /actors\.orders: the default export of file:.*no-default\.ts is undefined, not made by defineActor/,
  );
  expect(told.error.todo).toContain('export default defineActor');
});

test('an actor module that is not there is ACTOR_MODULE_MISSING', async () => {
  const told = await refused([fixture('bad/uses-missing.ts')]);
  expect(told).toMatchObject({ code: 78, error: { code: 'ACTOR_MODULE_MISSING', place: { at: 'actors.orders' } } });
  expect(told.error.message).toContain('not-there.ts');
});

test('every wrong option has a line of its own: path, what was expected, what was found', async () => {
  const told = await refused([fixture('bad/options.ts')]);
  expect(told).toMatchObject({
    code: 78,
    error: { code: 'CONFIG_INVALID', todo: expect.stringContaining('Each line') },
  });
  const [head, ...lines] = told.error.message.split('\n').map(line => line.trim());
  expect(head).toBe('CONFIG_INVALID: options');
  expect(lines.sort()).toEqual([
    'actors.orders.batch.drainRatio: Too big: expected number to be <=0.95, found 2',
    'actors.orders.batch.max: Too small: expected number to be >=1, found 0',
    'actors.orders.batch: Unrecognized key: "size"',
    'actors.orders.priority: Too big: expected number to be <=7, found 8',
    'actors.strangers.sends: there is no "nobody"',
    'actors.strangers.uses: there is no "queue"',
    'actors.typo: Unrecognized key: "mailBox"',
    'graceMs: Too small: expected number to be >=0, found -1',
    'io.out.maxOpenFiles: Too small: expected number to be >=1',
    'io.out.url: expected file:PATH, a path, or - for stdin and stdout',
    'partitions: expected a power of two, found 1000',
    'sources.orders.from: there is no I/O actor "queue"',
    'sources.orders.onBroken: Invalid option: expected one of "dead"|"fail", found "ignore"',
    'sources.orders.to: there is no actor "nobody"',
  ]);
});

test.each([
  ['nonsense=1', 'Unrecognized key: "nonsense"'],
  ['actors.copy.nonsense=1', 'actors.copy: Unrecognized key: "nonsense"'],
  ['actors.nobody.priority=1', '--set actors.nobody.priority: there is no actors.nobody'],
  ['io.queue.url=x', '--set io.queue.url: there is no io.queue'],
  ['io.out.nonsense=1', 'Unrecognized key: "nonsense"'],
  ['actors..priority=1', '--set actors..priority: not a path'],
  [
    'actors.copy.batch.max=many',
    'actors.copy.batch.max: Invalid input: expected number, received string, found "many"',
  ],
])('--set %s is refused with its path', async (set, text) => {
  const told = await refused([fixture('lines.ts'), '--set', set]);
  expect(told).toMatchObject({ code: 78, error: { code: 'CONFIG_INVALID', message: expect.stringContaining(text) } });
});

test.each([
  [['--chaos', 'kill-everything=1s'], 'kill-host=TIME, stall-host=TIME or seed=N', '"kill-everything=1s"'],
  [['--chaos', 'kill-host=often'], 'with a time such as 250ms or 2s', '"kill-host=often"'],
  [['--log', 'loud'], 'debug, info, warn, error, silent', '"loud"'],
])('%s is refused: expected and found are named', async (args, expected, found) => {
  const told = await refused([fixture('lines.ts'), ...args]);
  expect(told).toMatchObject({ code: 78, error: { code: 'CONFIG_INVALID' } });
  expect(told.error.message).toContain(expected);
  expect(told.error.message).toContain(found);
});

test.each([
  [['--threads', '0'], 'expected a whole number from 1 to 256'],
  [['--port', '70000'], 'expected a whole number from 0 to 65535'],
  [['--set', 'nonsense'], 'expected path=value'],
  [['--nonsense'], "unknown option '--nonsense'"],
])('the command line %s is refused with 78', async (args, text) => {
  const ended = await keymill(['start', fixture('lines.ts'), ...args, '--json']).ended;
  expect(ended).toMatchObject({ code: 78, stderr: expect.stringContaining(text) });
  expect(jsonOf(ended)).toMatchObject({
    ok: false,
    error: { code: 'CONFIG_INVALID', message: expect.stringContaining(text) },
  });
});

test('actors that feed each other in a cycle and all wait are CYCLE_WAITS', async () => {
  const told = await refused([fixture('bad/cycle.ts')]);
  expect(told).toMatchObject({ code: 78, error: { code: 'CYCLE_WAITS', place: { actor: 'ping' } } });
  expect(told.error.message).toContain('ping → pong → ping');
  expect(told.error.todo).toContain('onKeyFull: park or dead');
  const ended = await keymill(['check', fixture('bad/cycle.ts'), '--set', 'actors.pong.onKeyFull=park', '--json'])
    .ended;
  expect(ended).toMatchObject({ code: 0 });
});

test('actors that are seen to feed each other in a cycle are told of in the log, once, with what to do', async () => {
  const cwd = await tempFolder('bad');
  const { summary, ended } = await ran([fixture('circle.ts')], cwd);
  expect(summary).toMatchObject({ ok: true, messages: 4, perActor: { ping: { handled: 8 }, pong: { handled: 8 } } });
  const warnings = ended.stderr.split('\n').filter(line => line.includes('CYCLE_WAITS'));
  expect(warnings.map(line => JSON.parse(line))).toMatchObject([
    {
      level: 'warn',
      cycle: expect.toSatisfy((cycle: string[]) => ['ping,pong,ping', 'pong,ping,pong'].includes(cycle.join())),
      do: expect.stringContaining('onKeyFull: park or dead'),
    },
  ]);
  const mended = await ran([fixture('circle.ts'), '--set', 'actors.pong.onKeyFull=park'], cwd);
  expect(mended.ended.stderr).not.toContain('CYCLE_WAITS');
});

test('check ends with 0 when all is fine, 1 when an I/O actor does not open, 78 when the configuration is wrong', async () => {
  const cwd = await tempFolder('bad');
  const check = (...args: string[]) => keymill(['check', ...args], { cwd }).ended;
  await writeFile(join(cwd, 'in.ndjson'), '{"n":1}\n');
  expect(await check(fixture('lines.ts'))).toMatchObject({
    code: 0,
    stdout: 'ok lines: actors copy · sources lines · I/O in, out\n',
    stderr: '',
  });
  const fine = await check(fixture('lines.ts'), '--json');
  expect(fine.code).toBe(0);
  expect(jsonOf<object>(fine)).toEqual({
    ok: true,
    name: 'lines',
    actors: ['copy'],
    io: ['in', 'out'],
    sources: ['lines'],
    warnings: [],
    errors: [],
  });
  const warned = ['--set', 'actors.copy.mailbox.full=DropOldest'];
  const said = 'actors.copy.mailbox.full: DropOldest drops tells only, and what lines sends waits';
  expect(await check(fixture('lines.ts'), ...warned)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(new RegExp(`^ok lines: .*\\nwarning ${said}`)),
  });
  expect(jsonOf(await check(fixture('lines.ts'), '--json', ...warned))).toMatchObject({
    ok: true,
    warnings: [expect.stringContaining(said)],
  });
  const started = await keymill(['start', fixture('lines.ts'), '--once', '--data', 'data', ...warned], { cwd }).ended;
  expect(started).toMatchObject({ code: 0, stderr: expect.stringContaining(said) });
  await rm(join(cwd, 'out'), { recursive: true });
  expect(existsSync(join(cwd, 'out'))).toBe(false);

  const down = await check(fixture('bad/io-down.ts'));
  expect(down).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('io.store: IO_FAILED nobody listens at 127.0.0.1:1'),
  });
  expect(down.stdout).not.toMatch(/^ok/);
  const answer = jsonOf(await check(fixture('bad/io-down.ts'), '--json'));
  expect(answer).toMatchObject({ ok: false, errors: [{ code: 'IO_FAILED', place: { at: '127.0.0.1:1' } }] });
  expect(await check(fixture('bad/io-down.ts'), '--offline')).toMatchObject({ code: 0 });

  const wrong = await check(fixture('bad/uses-no-default.ts'));
  expect(wrong).toMatchObject({
    code: 78,
    stdout: '',
    stderr: expect.stringContaining('ACTOR_MODULE_NO_DEFAULT actors.orders'),
  });
  const json = await check(fixture('bad/uses-no-default.ts'), '--json');
  expect(json).toMatchObject({ code: 78, stderr: '' });
  expect(jsonOf(json)).toMatchObject({
    ok: false,
    errors: [{ code: 'ACTOR_MODULE_NO_DEFAULT', todo: expect.anything() }],
  });
});

test('check finds a source that is not there and an output that cannot be written, with code, place and what to do', async () => {
  const cwd = await tempFolder('bad');
  const check = (...args: string[]) => keymill(['check', fixture('lines.ts'), ...args], { cwd }).ended;
  const missing = await check();
  expect(missing).toMatchObject({ code: 78, stderr: '' });
  expect(missing.stdout).toMatch(
    /^not ok lines: .*\nsources\.lines: SOURCE_MISSING .*in\.ndjson.*\n {2}where: .*in\.ndjson\n {2}do: Check the path/,
  );
  expect(await check('--offline')).toMatchObject({ code: 0 });

  await writeFile(join(cwd, 'file'), '');
  const both = await check('--json', '--set', 'io.out.url=file/deep/out', '--set', 'io.in.url=.');
  expect(both.code).toBe(78);
  expect(jsonOf(both)).toMatchObject({
    ok: false,
    errors: [
      { path: 'sources.lines', code: 'CONFIG_INVALID', message: expect.stringContaining('say which file') },
      {
        path: 'io.out',
        code: 'OUTPUT_UNWRITABLE',
        place: { at: 'file/deep/out' },
        todo: expect.stringContaining('permissions'),
      },
    ],
  });
  await writeFile(join(cwd, 'in.ndjson'), '');
  const fine = await check('--set', 'io.out.url=new/folder/out');
  expect(fine).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ok lines/) });
  expect(await readdir(cwd)).toEqual(['file', 'in.ndjson']);
});

// ── what is there, and what is not ─────────────────────────────────────────────────────────────────────────────────

test('the file of a source that is not there is SOURCE_MISSING', async () => {
  const told = await refused([fixture('lines.ts'), '--set', 'io.in.url=not-there.ndjson']);
  expect(told).toMatchObject({
    code: 78,
    error: { code: 'SOURCE_MISSING', place: { at: expect.stringContaining('not-there.ndjson') } },
  });
  expect(told.error.todo).toContain('working directory');
});

test('a file that is not the one its checkpoint was made of is CHECKPOINT_UNUSABLE', async () => {
  const cwd = await tempFolder('bad');
  const args = [fixture('lines.ts'), '--set', 'sources.lines.checkpoint=true', '--data', 'data'];
  await writeFile(join(cwd, 'in.ndjson'), '{"n":1}\n{"n":2}\n');
  expect((await ran(args.slice(0, 3), cwd)).summary).toMatchObject({ messages: 2 });
  expect((await ran(args.slice(0, 3), cwd)).summary).toMatchObject({ messages: 0 });
  await writeFile(join(cwd, 'in.ndjson'), '{"n":7}\n{"n":8}\n{"n":9}\n');
  const told = await refused(args, { cwd });
  expect(told).toMatchObject({ code: 78, error: { code: 'CHECKPOINT_UNUSABLE', place: { at: './in.ndjson' } } });
  expect(told.error.message).toContain('data/checkpoints/lines.json');
  expect(told.error.todo).toContain('delete the checkpoint file');
  await rm(join(cwd, 'data/checkpoints/lines.json'));
  expect((await ran(args.slice(0, 3), cwd)).summary).toMatchObject({ messages: 3 });
});

test('a port in use is PORT_IN_USE', async () => {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  const told = await refused([fixture('lines.ts'), '--port', String(port)]);
  expect(told).toMatchObject({ code: 78, error: { code: 'PORT_IN_USE', place: { at: `127.0.0.1:${port}` } } });
  expect(told.error.todo).toContain('--port');
});

test('an output folder, or a data folder, that cannot be written is OUTPUT_UNWRITABLE before anything is read', async () => {
  const cwd = await tempFolder('bad');
  await writeFile(join(cwd, 'in.ndjson'), '{"n":1}\n');
  const out = await refused([fixture('lines.ts'), '--set', 'io.out.url=in.ndjson/out'], { cwd });
  expect(out).toMatchObject({ code: 78, error: { code: 'OUTPUT_UNWRITABLE', place: { at: 'in.ndjson/out' } } });
  const data = await refused([fixture('lines.ts'), '--data', 'in.ndjson/data'], { cwd });
  expect(data).toMatchObject({
    code: 78,
    error: { code: 'OUTPUT_UNWRITABLE', message: expect.stringContaining('in.ndjson/data') },
  });
});

test('a full output is OUTPUT_FULL in the log; the run goes on when there is room, and nothing is lost', async context => {
  const cwd = await tempFolder('bad');
  const disk = join(cwd, 'out');
  await mkdir(disk);
  mountSmall(context, disk);
  await writeFile(join(disk, 'ballast'), Buffer.alloc(50_000));
  const records = Array.from({ length: 40 }, (_, n) => ({ n, text: 'x'.repeat(500) }));
  await writeFile(join(cwd, 'in.ndjson'), records.map(record => `${JSON.stringify(record)}\n`).join(''));
  const running = keymill(['start', fixture('lines.ts'), '--once', '--json', '--data', 'data'], { cwd });
  await running.says('BREAKER_OPEN');
  await rm(join(disk, 'ballast'));
  const began = performance.now();
  const ended = await running.ended;
  expect(performance.now() - began).toBeLessThan(20_000); // the breaker is probed every second, not every minute
  expect(ended.code, ended.stderr).toBe(0);
  expect(jsonOf(ended)).toMatchObject({ ok: true, settled: { done: 40, dead: 0 } });
  const copied = (await readFile(join(disk, 'copied.ndjson'), 'utf8')).trimEnd().split('\n');
  const numbers = copied.map(line => (JSON.parse(line) as { n: number }).n);
  expect(numbers.toSorted((a, b) => a - b)).toEqual(records.map(record => record.n));
});

/** Mounts a file system of 64 KiB there until the test ends; needs root, without it the test is skipped and says why. */
function mountSmall(context: TestContext, folder: string): void {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder], { stdio: 'pipe' });
  } catch (error) {
    console.log(`skipped: no tmpfs could be mounted (${error instanceof Error ? error.message.trim() : error})`);
    context.skip('no tmpfs could be mounted; this needs root');
  }
  onTestFinished(() => void execFileSync('umount', ['-l', folder]));
}

// ── records ────────────────────────────────────────────────────────────────────────────────────────────────────────

const LINES = '{"n":1}\n{"n":2,\n\n{"n":3}\nnonsense\n{"n":4}\n';

test('a broken line is dead-lettered with its file and line, counted, and the others are handled', async () => {
  const cwd = await tempFolder('bad');
  await writeFile(join(cwd, 'in.ndjson'), LINES);
  const { summary, ended } = await ran([fixture('lines.ts')], cwd);
  expect(summary).toMatchObject({ messages: 5, settled: { done: 3, dead: 2 } });
  expect(ended.stderr).toContain('record dead-lettered');
  expect(await deadLetters(cwd)).toMatchObject([
    { message: '{"n":2,', error: { code: 'RECORD_BROKEN', place: { at: expect.stringMatching(/in\.ndjson:2$/) } } },
    { message: 'nonsense', error: { code: 'RECORD_BROKEN', place: { at: expect.stringMatching(/in\.ndjson:5$/) } } },
  ]);
  const copied = (await readFile(join(cwd, 'out/copied.ndjson'), 'utf8')).trimEnd().split('\n');
  expect(copied.sort()).toEqual(['{"n":1}', '{"n":3}', '{"n":4}']);
});

test('with onBroken fail a broken line ends the run with its place and exit 1, and nothing after it is read', async () => {
  const cwd = await tempFolder('bad');
  await writeFile(join(cwd, 'in.ndjson'), LINES);
  const told = await refused([fixture('lines.ts'), '--set', 'sources.lines.onBroken=fail', '--data', 'data'], { cwd });
  expect(told).toMatchObject({
    code: 1,
    error: { code: 'RECORD_BROKEN', place: { at: expect.stringMatching(/in\.ndjson:2$/) } },
  });
  expect(told.error.todo).toContain('onBroken');
});

test('the same broken line read again is one dead letter, another one at its place is another', async () => {
  const cwd = await tempFolder('bad');
  for (const text of ['monday', 'monday', 'tuesday']) {
    await writeFile(join(cwd, 'in.ndjson'), `${text}\n`);
    const { summary } = await ran([fixture('lines.ts')], cwd);
    expect(summary.settled).toEqual({ done: 0, dead: 1, dropped: 0 });
  }
  expect((await deadLetters(cwd)).map(letter => [letter.id, letter.message])).toEqual([
    ['lines/0/0', 'monday'],
    ['lines/0/0~2', 'tuesday'],
  ]);
});

test('a key function that gives no key, or throws, has its record dead-lettered', async () => {
  const cwd = await tempFolder('bad');
  const { summary } = await ran([fixture('bad/keys.ts')], cwd);
  expect(summary).toMatchObject({ messages: 6, settled: { done: 2, dead: 4 } });
  const letters = await deadLetters(cwd);
  expect(letters.map(letter => [letter.message, letter.error.code, letter.error.message])).toEqual([
    [{ bad: 'undefined' }, 'KEY_INVALID', 'KEY_INVALID: the key function of actor returned undefined'],
    [{ bad: 'NaN' }, 'KEY_INVALID', 'KEY_INVALID: the key function of actor returned NaN'],
    [{ bad: 'object' }, 'KEY_INVALID', 'KEY_INVALID: the key function of actor returned {"id":1}'],
    [{ bad: 'throws' }, undefined, 'no key in here'],
  ]);
  const told = await refused([fixture('bad/keys.ts'), '--set', 'sources.records.onBroken=fail']);
  expect(told).toMatchObject({ code: 1, error: { code: 'KEY_INVALID', place: { actor: 'actor' } } });
});

test('what a handler throws that is no Error is HANDLER_THREW with what it was', async () => {
  const cwd = await tempFolder('bad');
  const { summary } = await ran([fixture('bad/throws.ts')], cwd);
  expect(summary.settled).toEqual({ done: 1, dead: 3, dropped: 0 });
  const letters = await deadLetters(cwd);
  expect(letters.map(letter => letter.error.message).sort()).toEqual([
    'HANDLER_THREW: not an Error but "a text, not an Error"',
    'HANDLER_THREW: not an Error but undefined',
    'HANDLER_THREW: not an Error but {"status":418}',
  ]);
});

test('records of a source that cannot be carried are dead-lettered with the path, as far as text can show them', async () => {
  const cwd = await tempFolder('bad');
  const { summary } = await ran([fixture('bad/uncarriable.ts')], cwd);
  expect(summary).toMatchObject({ messages: 4, settled: { done: 1, dead: 3 } });
  const letters = await deadLetters(cwd);
  const seen = letters.map(({ error, message }) => [error.code, error.message.slice(0, 80), message]);
  expect(seen).toContainEqual([
    'MESSAGE_NOT_CARRIABLE',
    'MESSAGE_NOT_CARRIABLE: message.call is a function',
    '{"n":1}',
  ]);
  expect(seen).toContainEqual([
    'MESSAGE_NOT_CARRIABLE',
    expect.stringContaining('message.cycle.inner.back.inner'),
    '[object Object]',
  ]);
  expect(letters.find(letter => letter.error.code === 'MESSAGE_TOO_LARGE')).toMatchObject({ message: { n: 3 } });
});

// ── messages of a host service and of handlers ─────────────────────────────────────────────────────────────────────

test('a tell or ask that cannot be is refused at the call, with the place, and those after it are not harmed', async () => {
  const { runtime } = await started(board);
  const cycle: { list: unknown[] } = { list: [] };
  cycle.list.push(cycle);
  const refusals = [
    [{ value: { deep: [1, { call: () => 1 }] } }, 'MESSAGE_NOT_CARRIABLE', 'message.value.deep[1].call is a function'],
    [{ value: Symbol('s') }, 'MESSAGE_NOT_CARRIABLE', 'message.value is a symbol'],
    [{ value: cycle }, 'MESSAGE_NOT_CARRIABLE', 'message.value.list[0].list[0]'],
    [{ key: Number.NaN, value: 1 }, 'KEY_INVALID', 'the key function of echo returned NaN'],
    [{ key: { id: 1 } as never, value: 1 }, 'KEY_INVALID', 'returned {"id":1}'],
  ] as const;
  for (const [message, code, text] of refusals)
    for (const call of ['tell', 'ask'] as const) {
      expect(await errorFrom(runtime[call]('echo', message))).toMatchObject({
        code,
        place: { actor: 'echo' },
        message: expect.stringContaining(text),
      });
      expect(await runtime.ask('echo', { value: { still: 'fine' } })).toEqual({ still: 'fine' });
    }
  const large = await errorFrom(runtime.tell('small', 'ü'.repeat(600)));
  expect(large).toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
    place: { actor: 'small' },
    todo: expect.stringContaining('maxMessageBytes'),
  });
  expect(large.message).toContain('1203 bytes, maxMessageBytes is 1024');
  expect(await errorFrom(runtime.tell('nobody' as 'echo', { value: 1 }))).toMatchObject({ code: 'ACTOR_UNKNOWN' });
});

test.each([
  ['function', 'MESSAGE_NOT_CARRIABLE', 'message.value.deep[1].call is a function', undefined],
  ['cycle', 'MESSAGE_NOT_CARRIABLE', 'message.value.self.self', undefined],
  ['large', 'MESSAGE_TOO_LARGE', '1203 bytes, maxMessageBytes is 1024', 'small'],
  ['key', 'KEY_INVALID', 'the key function of list returned NaN', 'list'],
  ['actor', 'ACTOR_UNKNOWN', 'no actor "nobody"; there are echo, list', undefined],
] as const)(
  'ctx.send of a bad message (%s) fails its handler at the call and is dead-lettered at once',
  async (bad, code, text, actor) => {
    const { runtime } = await started(board, { threads: 1 });
    const refusal = await errorFrom(runtime.ask('relay', { key: 'a', bad }));
    expect(refusal).toMatchObject({ code, message: expect.stringContaining(text) });
    if (actor) expect(refusal.place).toMatchObject({ actor });
    expect(await runtime.deadLetters.list()).toMatchObject([{ actor: 'relay', attempts: 1, error: { code } }]);
    expect((await runtime.summary()).restarts).toBe(0);
  },
);

test('an ask that comes back to a key that waits for it is ASK_CYCLE at once, others are answered', async () => {
  const { runtime } = await started(board);
  expect(await runtime.ask('relay', { key: 'a', to: 'b' })).toBe('asked');
  const itself = await errorFrom(runtime.ask('relay', { key: 'a', to: 'a' }));
  expect(itself).toMatchObject({
    code: 'ASK_CYCLE',
    message: expect.stringContaining('relay/string:a → relay/string:a'),
  });
  const longer = await errorFrom(runtime.ask('relay', { key: 'a', to: 'b', again: true }));
  expect(longer).toMatchObject({ code: 'ASK_CYCLE', todo: expect.stringContaining('ctx.send') });
  expect(longer.message).toContain('relay/string:a → relay/string:b → relay/string:a');
});

// ── looks ──────────────────────────────────────────────────────────────────────────────────────────────────────────

test('NO_COLOR, a dumb terminal and no terminal at all mean no colours', async () => {
  const red = (isTTY: boolean, environment: Record<string, string>) => paintFor({ isTTY }, environment).red('x');
  expect(red(true, {})).toBe('\u001b[31mx\u001b[39m');
  expect([red(true, { NO_COLOR: '1' }), red(true, { TERM: 'dumb' }), red(false, {})]).toEqual(['x', 'x', 'x']);
  const cwd = await tempFolder('bad');
  const ended = await keymill(['start', 'nowhere.ts'], { cwd, env: { NO_COLOR: undefined } }).ended;
  expect(ended.stderr).toContain('TOPOLOGY_MISSING');
  expect(ended.stderr).not.toContain('\u001b');
});

test('a topology in a folder with a name that URLs would take apart runs all the same', async () => {
  const cwd = join(await tempFolder('bad'), '50% of #1?');
  await mkdir(cwd);
  const text = await readFile(fixture('lines.ts'), 'utf8');
  await writeFile(join(cwd, 'lines.ts'), text.replaceAll('../../../', ROOT));
  await writeFile(join(cwd, 'in.ndjson'), '{"n":1}\n');
  const { summary } = await ran(['lines.ts'], cwd);
  expect(summary).toMatchObject({ ok: true, messages: 1 });
});
