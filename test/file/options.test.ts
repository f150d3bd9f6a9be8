import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { clientOf } from '../../actors/file/contract.ts';
import { file } from '../../actors/file/index.ts';
import { placeOf } from '../../actors/file/place.ts';
import { opened, tempFolder, thrownBy } from './support.ts';

const spec = file({ url: './out' });
const paths = (options: Record<string, unknown>) => spec.check(options).map(problem => problem.path);

test('wrong options are reported with their paths, and refused by open', async () => {
  expect(spec.check(spec.options)).toEqual([]);
  expect(spec.check({ url: '-', fsync: { everyMs: 100 }, csv: { delimiter: '\t' } })).toEqual([]);
  expect(paths({})).toEqual(['url']);
  for (const url of ['', 'redis://host', 'file:', 'file://host/x', 'a\0b']) expect(paths({ url })).toEqual(['url']);
  expect(paths({ url: '-', fsync: 'always' })).toEqual(['fsync']);
  expect(paths({ url: '-', fsync: { everyMs: 0 } })).toEqual(['fsync.everyMs']);
  expect(paths({ url: '-', mode: 'x', format: 'xml' })).toEqual(['format', 'mode']);
  expect(paths({ url: '-', maxLineBytes: 1, maxOpenFiles: 0 })).toEqual(['maxLineBytes', 'maxOpenFiles']);
  for (const delimiter of ['', '"', ',,', '\n', 'é'])
    expect(paths({ url: '-', csv: { delimiter } })).toContain('csv.delimiter');
  const error = await thrownBy(() => opened({ url: 'redis://host' }));
  expect(error.code).toBe('CONFIG_INVALID');
  expect(error.message).toContain('io.out.url');
});

test('a place that is not there yet is a folder if it ends in / or has no extension', async () => {
  const folder = await tempFolder();
  await mkdir(join(folder, 'there.csv'));
  const kindOf = async (url: string) => (await placeOf(url)).kind;
  expect(await kindOf(join(folder, 'there.csv'))).toBe('folder');
  expect(await kindOf(`file:${folder}/out.d/`)).toBe('folder');
  expect(await kindOf(join(folder, 'out'))).toBe('folder');
  expect(await kindOf(join(folder, 'out.csv'))).toBe('file');
  expect(await placeOf('-')).toEqual({ kind: 'stdio', path: '-' });
  expect(await placeOf('file:-')).toEqual({ kind: 'folder', path: './-' });
});

test('the client makes plain asks and gives nothing back', async () => {
  const asked: unknown[] = [];
  const client = clientOf(async op => {
    asked.push(structuredClone(op));
    return 'ignored';
  });
  expect(await client.append('a', [1])).toBeUndefined();
  expect(await client.write('b', 'text')).toBeUndefined();
  expect(asked).toEqual([
    { op: 'append', path: 'a', records: [1] },
    { op: 'write', path: 'b', data: 'text' },
  ]);
});
