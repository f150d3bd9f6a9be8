/** Stdin and stdout, in a child process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { tempFolder } from './support.ts';

const NODE = fileURLToPath(new URL('../../scripts/node.sh', import.meta.url));
const CHILD = fileURLToPath(new URL('./stdio-child.ts', import.meta.url));

type Standard = 'pipe' | number;

function start(mode: string, options: object = {}, stdin: Standard = 'pipe', stdout: Standard = 'pipe') {
  const child = spawn('sh', [NODE, CHILD, mode, JSON.stringify(options)], { stdio: [stdin, stdout, 'pipe'] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  child.stdin?.on('error', () => {}); // it may be gone before all was written
  const said = collect(child.stderr!);
  const ended = once(child, 'close').then(async ([code]) => ({
    code: code as number,
    said: (await said)
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as unknown),
  }));
  return { child, ended };
}

async function collect(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const out = (child: ChildProcess) => collect(child.stdout!);

const STDIN = { replayable: false, ordered: true, contiguous: true };

test('stdin is read and stdout written as NDJSON, with broken lines named', async () => {
  const { child, ended } = start('copy');
  const text = out(child);
  child.stdin!.end('{"a":1}\r\n\noops\n{"a":2}');
  expect(await text).toBe('{"a":1}\n{"a":2}\n');
  expect(await ended).toEqual({
    code: 0,
    said: [['RECORD_BROKEN', 'stdin:3', 'oops'], { traits: STDIN, last: 2 }],
  });
});

test('everything arrives, in order, though the reader of stdout is slower than its writer', async () => {
  const { child, ended } = start('copy');
  const lines = Array.from({ length: 40_000 }, (_, n) => `${JSON.stringify({ n, text: 'x'.repeat(n % 100) })}\n`).join(
    '',
  );
  child.stdin!.end(lines);
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout!) {
    chunks.push(chunk as Buffer);
    for (let turns = 0; turns < 50; turns++) await turn();
  }
  expect(Buffer.concat(chunks).toString() === lines).toBe(true);
  expect(await ended).toEqual({ code: 0, said: [{ traits: STDIN, last: 39_999 }] });
});

test('files redirected to stdin and stdout are read and appended to', async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, 'in'), 'x,y\n1,2\n3\n4,5\n');
  await writeFile(join(folder, 'out'), 'before\n');
  const stdin = openSync(join(folder, 'in'), 'r');
  const stdout = openSync(join(folder, 'out'), 'a');
  const { ended } = start('copy', { format: 'csv' }, stdin, stdout);
  closeSync(stdin);
  closeSync(stdout);
  expect((await ended).said).toEqual([['RECORD_BROKEN', 'stdin:3', '3'], { traits: STDIN, last: 2 }]);
  expect(await readFile(join(folder, 'out'), 'utf8')).toBe('before\nx,y\n1,2\n4,5\n');
});

test('a reader of stdout that goes away ends it with OUTPUT_UNWRITABLE', async () => {
  const { child, ended } = start('copy');
  child.stdout!.destroy();
  await once(child.stdout!, 'close');
  child.stdin!.write('1\n');
  const { code, said } = await ended;
  expect(code).toBe(0);
  expect(said[0]).toMatchObject({ code: 'OUTPUT_UNWRITABLE', class: 'fatal', place: { at: 'stdout' } });
});

test('an abort ends the reading of an idle stdin at once', async () => {
  const { child, ended } = start('idle');
  child.stdin!.write('1\n');
  // Stdin stays open and silent: were the read still pending, the process would not end.
  expect(await ended).toEqual({ code: 0, said: [{ traits: STDIN, last: 0 }] });
});

test('an idle stdin does not hold up the end of its thread', async () => {
  const { child, ended } = start('killed');
  child.stdin!.write('1\n');
  expect(await ended).toEqual({ code: 0, said: ['terminated'] });
});
