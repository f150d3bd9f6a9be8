/** The file of lines that dead letters and parked messages rest in. */
import { appendFile, chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppendLog, keyFromJson, keyToJson, type LinePlace } from '../../runtime/delivery/append-log.ts';
import { failNextWrite } from '../support/failing-disk.ts';
import { messageKey } from '../support/messages.ts';
import { boundByPermissions } from '../support/permissions.ts';
import { tempFolder } from '../support/temp-folder.ts';

async function file(content?: string | Uint8Array): Promise<string> {
  const path = join(await tempFolder('log'), 'a.ndjson');
  if (content !== undefined) await writeFile(path, content);
  return path;
}

async function reopened(path: string): Promise<{ log: AppendLog; lines: string[]; places: LinePlace[] }> {
  const lines: string[] = [];
  const places: LinePlace[] = [];
  const log = await AppendLog.open(path, (line, place) => {
    lines.push(line);
    places.push(place);
  });
  return { log, lines, places };
}

describe('a log', () => {
  it('gives back what was written, by place, at once and after it was opened again', async () => {
    const path = await file();
    const { log } = await reopened(path);
    const first = await log.append(['one', 'zwölf', '']);
    const [second] = await log.append(['日本']);
    expect(await Promise.all([...first, second!].map(place => log.read(place)))).toEqual(['one', 'zwölf', '', '日本']);
    expect(log.bytes).toBe((await stat(path)).size);
    await log.close();
    const again = await reopened(path);
    expect(again.lines).toEqual(['one', 'zwölf', '', '日本']);
    expect(again.places).toEqual([...first, second]);
    expect(await again.log.append(['more'])).toEqual([{ offset: log.bytes, length: 4 }]);
    await again.log.close();
  });

  it('makes its folder', async () => {
    const path = join(await tempFolder('log'), 'deep', 'er', 'a.ndjson');
    await (await reopened(path)).log.close();
    expect((await stat(path)).size).toBe(0);
  });

  it('cuts off a last line that a crash tore, wherever it tore it', async () => {
    const whole = Buffer.from('one\nzwölf\n');
    for (let cut = 0; cut <= whole.length; cut++) {
      const path = await file(whole.subarray(0, cut));
      const { log, lines } = await reopened(path);
      expect(lines).toEqual(cut === whole.length ? ['one', 'zwölf'] : cut >= 4 ? ['one'] : []);
      await log.append(['new']);
      await log.close();
      expect(await readFile(path, 'utf8')).toBe([...lines, 'new', ''].join('\n'));
    }
  });

  it('reads lines that are longer than its buffer, and those that straddle it', async () => {
    const lines = ['a'.repeat(1_048_570), 'ä'.repeat(20), 'b'.repeat(3_000_000), 'end'];
    const path = await file(`${lines.join('\n')}\ntorn`);
    const { log, lines: seen, places } = await reopened(path);
    expect(seen).toEqual(lines);
    expect(await log.read(places[1]!)).toBe(lines[1]);
    await log.close();
  });

  it.each([
    ['ENOSPC', 'OUTPUT_FULL'],
    ['EIO', 'IO_FAILED'],
  ])('leaves nothing half-written when a write fails with %s, and writes on when it can', async (code, expected) => {
    const path = await file();
    const { log } = await reopened(path);
    await log.append(['kept']);
    await failNextWrite(code);
    await expect(log.append(['lost', 'also lost'])).rejects.toMatchObject({
      code: expected,
      class: 'transient',
      place: { at: path },
    });
    expect(await readFile(path, 'utf8')).toBe('kept\n');
    const [place] = await log.append(['after']);
    expect(await log.read(place!)).toBe('after');
    await log.close();
    expect((await reopened(path)).lines).toEqual(['kept', 'after']);
  });

  it('can be emptied, and starts at the beginning again', async () => {
    const path = await file('a\nb\n');
    const { log } = await reopened(path);
    await log.clear();
    expect(log.bytes).toBe(0);
    expect(await log.append(['c'])).toEqual([{ offset: 0, length: 1 }]);
    expect(await readFile(path, 'utf8')).toBe('c\n');
    await log.close();
  });

  it('appends behind what was written to the file, also by another process before it', async () => {
    const path = await file('a\n');
    await appendFile(path, 'b\n');
    const { log } = await reopened(path);
    await log.append(['c']);
    await log.close();
    expect(await readFile(path, 'utf8')).toBe('a\nb\nc\n');
  });

  it('that cannot be opened is OUTPUT_UNWRITABLE and names its path', async () => {
    const path = await file();
    await mkdir(path);
    await expect(reopened(path)).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE', place: { at: path } });
    const below = join(await file('a file, no folder'), 'x');
    await expect(reopened(below)).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE', place: { at: below } });
  });

  it('that may not be written is OUTPUT_UNWRITABLE', async context => {
    const path = await file('x\n');
    await chmod(dirname(path), 0o755);
    await chmod(path, 0o444);
    boundByPermissions(context);
    await expect(reopened(path)).rejects.toMatchObject({
      code: 'OUTPUT_UNWRITABLE',
      message: expect.stringContaining('EACCES'),
      place: { at: path },
    });
  });
});

it('keys of all kinds survive JSON', () => {
  fc.assert(
    fc.property(messageKey, key => {
      expect(keyFromJson(JSON.parse(JSON.stringify(keyToJson(key))))).toBe(key);
    }),
  );
});
