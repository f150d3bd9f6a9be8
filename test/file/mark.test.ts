/** By what a source knows its file again: marks of files that grew, were moved, cut, replaced or half written. */
import { appendFile, rename, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Position, SourceHalf } from '../../runtime/topology/define.ts';
import { opened, tempFolder, thrownBy } from './support.ts';

async function halfOf(url: string): Promise<SourceHalf> {
  return (await opened({ url })).resource.source!({});
}

/** The mark after a reading to the end, through JSON as a checkpoint keeps it. */
async function markOf(url: string): Promise<unknown> {
  const half = await halfOf(url);
  for await (const _ of half.read(0, new AbortController().signal));
  return JSON.parse(JSON.stringify(half.mark!()));
}

async function recognised(url: string, mark: unknown): Promise<Position | undefined> {
  return (await halfOf(url)).recognise!(mark);
}

const line = (n: number): string => `${JSON.stringify({ n, text: 'x'.repeat(100) })}\n`;
const lines = (count: number): string => Array.from({ length: count }, (_, n) => line(n)).join('');

it('knows its file again when it has grown, was moved, or is as it was', async () => {
  const folder = await tempFolder();
  for (const count of [1, 30, 3000]) {
    const path = join(folder, `${count}.ndjson`);
    await writeFile(path, lines(count));
    const mark = await markOf(path);
    expect(await recognised(path, mark)).toBeUndefined();
    await appendFile(path, lines(2));
    expect(await recognised(path, mark)).toBeUndefined();
    await rename(path, `${path}.moved.ndjson`);
    expect(await recognised(`${path}.moved.ndjson`, mark)).toBeUndefined();
  }
});

it('knows a file that was read in part only', async () => {
  const path = join(await tempFolder(), 'a.ndjson');
  await writeFile(path, lines(3000));
  const half = await halfOf(path);
  expect(half.mark!()).toBeUndefined();
  const abort = new AbortController();
  for await (const _ of half.read(0, abort.signal)) abort.abort();
  expect(half.mark!()).toMatchObject({ bytes: 64 * 1024 });
  expect(await recognised(path, half.mark!())).toBeUndefined();
});

it.each<[string, (path: string) => Promise<void>, string]>([
  ['cut', path => truncate(path, 1000), 'it has 1000 now'],
  ['replaced by another', path => writeFile(path, lines(5000).replace('"n":0', '"n":9')), 'bytes were others'],
  [
    'changed right before where reading stood',
    path => writeFile(path, lines(3000).replace('"n":2999', '"n":2990')),
    'bytes were others',
  ],
])('does not take a file for its own that was %s', async (_how, change, text) => {
  const path = join(await tempFolder(), 'a.ndjson');
  await writeFile(path, lines(3000));
  const mark = await markOf(path);
  await change(path);
  const error = await thrownBy(() => recognised(path, mark));
  expect(error).toMatchObject({ code: 'CHECKPOINT_UNUSABLE', class: 'fatal', place: { at: path } });
  expect(error.message).toContain(text);
});

it('is SOURCE_MISSING when there is no file, and CHECKPOINT_UNUSABLE with what is no mark of a file', async () => {
  const path = join(await tempFolder(), 'a.ndjson');
  await writeFile(path, lines(3));
  const mark = await markOf(path);
  for (const other of [undefined, null, 5, {}, { bytes: 1.5, head: '', tail: '' }])
    expect(await thrownBy(() => recognised(path, other))).toMatchObject({ code: 'CHECKPOINT_UNUSABLE' });
  await rename(path, `${path}-gone`);
  expect(await thrownBy(() => recognised(path, mark))).toMatchObject({ code: 'SOURCE_MISSING' });
});

it.each<[string, string, string, Position | undefined]>([
  ['a line that was half written', 'a.ndjson', '{"n":2}\n', 1],
  ['a line that went on', 'a.ndjson', '34\n', 1],
  ['a line that had only no newline yet', 'a.ndjson', '\n3\n', undefined],
  ['a line that had only no newline yet, on Windows', 'a.ndjson', '\r\n3\n', undefined],
  ['a row that went on', 'a.csv', '4\n', 1],
  ['a row that had only no newline yet', 'a.csv', '\n5,6\n', undefined],
  ['a row with an open quote', 'quoted.csv', '\nrest"\n', 1],
  ['an array that was cut off', 'a.json', '4, 5]', 1],
])('has %s given again', async (_what, name, rest, position) => {
  const path = join(await tempFolder(), name);
  const begun = { 'a.ndjson': '1\n', 'a.csv': 'x,y\n1,2\n', 'quoted.csv': 'x,y\n1,2\n', 'a.json': '[1,' }[name]!;
  const last = {
    'a.ndjson': rest.startsWith('{') ? '{"n"' : '2',
    'a.csv': '3,4',
    'quoted.csv': '3,"open',
    'a.json': '2',
  };
  await writeFile(path, begun + last[name as keyof typeof last]);
  const mark = await markOf(path);
  expect(mark).toMatchObject({ open: { position: 1 } });
  expect(await recognised(path, mark)).toBeUndefined();
  await appendFile(path, rest);
  expect(await recognised(path, mark)).toBe(position);
});
