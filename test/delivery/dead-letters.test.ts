/** The store of dead letters (D3, rule 6). */
import { deepStrictEqual } from 'node:assert/strict';
import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DeadLetter } from '../../runtime/delivery/dead-letter.ts';
import { deadLetters } from '../../runtime/delivery/dead-letters.ts';
import { KeymillError, toWire } from '../../runtime/errors.ts';
import { opened } from '../support/asking.ts';
import { failNextWrite } from '../support/failing-disk.ts';
import { messageBody, messageKey } from '../support/messages.ts';
import { tempFolder } from '../support/temp-folder.ts';

const ERROR = toWire(new KeymillError('IO_FAILED', 'down', { cause: new Error('socket') }));
const AT = Date.UTC(2026, 10, 22, 4, 5, 6, 789);

function letter(id: string, part: Partial<DeadLetter> = {}): DeadLetter {
  return {
    id,
    actor: 'ledger',
    key: 'k',
    message: { id },
    attempts: 6,
    at: AT,
    error: ERROR,
    history: [{ at: AT - 100, class: 'unknown', message: 'first' }],
    ...part,
  };
}

async function store(folder?: string) {
  const dataDir = folder ?? (await tempFolder('letters'));
  const { client, drain, close } = await opened(deadLetters(), dataDir);
  const write = async (...letters: DeadLetter[]) => drain(...letters.map(one => ({ op: 'write', letter: one })));
  return { client, drain, write, close, dataDir, path: join(dataDir, 'dead-letters.ndjson') };
}

describe('a dead letter', () => {
  it('is shown as it was written, now and after a restart', async () => {
    const { client, write, close, dataDir } = await store();
    await write(letter('a'));
    deepStrictEqual(await client.show('a'), letter('a'));
    await close();
    deepStrictEqual(await (await store(dataDir)).client.show('a'), letter('a'));
  });

  it('gives back the very message and key, whatever they hold', async () => {
    const { write, close, dataDir } = await store();
    const letters = fc
      .sample(fc.tuple(messageBody, messageKey), { numRuns: 200, seed: 7 })
      .map(([message, key], i) => letter(`n${i}`, { message, key }));
    await write(
      ...letters,
      letter('bytes', {
        message: { raw: Buffer.from([0, 255]), map: new Map([[1n, new Set(['x'])]]) },
        key: 2n ** 80n,
      }),
    );
    await close();
    const again = await store(dataDir);
    for (const one of letters) deepStrictEqual(await again.client.show(one.id), one);
    deepStrictEqual((await again.client.show('bytes')).message, {
      raw: Buffer.from([0, 255]),
      map: new Map([[1n, new Set(['x'])]]),
    });
    expect((await again.client.list({ limit: 1 }))[0]!.id).toBe('bytes');
  });

  it('is readable with any tool: one JSON object a line, with its message as far as JSON can show it', async () => {
    const { write, path } = await store();
    await write(
      letter('a', {
        key: 12n,
        message: { amount: 5n, tags: new Set(['x']), map: new Map([['k', 1]]), when: new Date(AT) },
      }),
    );
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    expect(lines.map(line => JSON.parse(line))).toMatchObject([
      {
        v: 1,
        id: 'a',
        at: '2026-11-22T04:05:06.789Z',
        actor: 'ledger',
        key: { bigint: '12' },
        attempts: 6,
        error: { code: 'IO_FAILED', cause: { message: 'socket' } },
        message: { amount: '5', tags: ['x'], map: { k: 1 }, when: '2026-11-22T04:05:06.789Z' },
      },
    ]);
  });

  it('written again, after a crash between the write and the ack, is one', async () => {
    const { write, close, dataDir, path } = await store();
    await write(letter('a'), letter('b'));
    await write(letter('a'));
    await close();
    const again = await store(dataDir);
    await again.write(letter('b', { attempts: 7 }));
    expect((await again.client.list()).map(one => one.id)).toEqual(['a', 'b']);
    expect((await readFile(path, 'utf8')).trimEnd().split('\n')).toHaveLength(2);
  });

  it('of another message under the same id is another, in one drain as well as later', async () => {
    const { client, write } = await store();
    await write(letter('a'), letter('a', { message: 'other' }), letter('a', { actor: 'second' }));
    await write(letter('a', { message: 'third' }), letter('a', { message: 'other' }));
    expect((await client.list()).map(one => [one.id, one.actor, one.message])).toEqual([
      ['a', 'ledger', { id: 'a' }],
      ['a~2', 'ledger', 'other'],
      ['a~3', 'second', { id: 'a' }],
      ['a~4', 'ledger', 'third'],
    ]);
  });
});

describe('the list', () => {
  it('is newest last, of so many as asked for, of one actor if asked for', async () => {
    const { client, write } = await store();
    for (let i = 0; i < 150; i++) await write(letter(`n${i}`, { actor: i % 3 === 0 ? 'a' : 'b' }));
    expect((await client.list()).map(one => one.id)).toEqual(Array.from({ length: 100 }, (_, i) => `n${i + 50}`));
    expect((await client.list({ limit: 2 })).map(one => one.id)).toEqual(['n148', 'n149']);
    expect((await client.list({ limit: 2, actor: 'a' })).map(one => one.id)).toEqual(['n144', 'n147']);
    expect(await client.list({ actor: 'nobody' })).toEqual([]);
  });
});

describe('a letter struck out', () => {
  it('is gone, for good', async () => {
    const { client, write, close, dataDir } = await store();
    await write(letter('a'), letter('b'), letter('c'));
    await client.strike('b', 'replayed');
    await client.strike('a', 'dropped');
    expect((await client.list()).map(one => one.id)).toEqual(['c']);
    await close();
    const again = await store(dataDir);
    expect((await again.client.list()).map(one => one.id)).toEqual(['c']);
    for (const call of [again.client.show('a'), again.client.strike('a', 'dropped'), again.client.show('never')])
      await expect(call).rejects.toMatchObject({ code: 'DEAD_LETTER_UNKNOWN' });
  });

  it('may die again, and is there again', async () => {
    const { client, write } = await store();
    await write(letter('a'));
    await client.strike('a', 'replayed');
    await write(letter('a', { attempts: 9 }));
    expect(await client.show('a')).toMatchObject({ attempts: 9 });
  });

  it('stays in the file as long as there are others, and the file is emptied when it is large and nothing is left', async () => {
    const { client, write, path } = await store();
    const big = 'x'.repeat(600_000);
    await write(letter('a', { message: big }), letter('b', { message: big }));
    await client.strike('a', 'dropped');
    expect((await readFile(path)).length).toBeGreaterThan(1_000_000);
    await client.strike('b', 'dropped');
    expect((await readFile(path)).length).toBe(0);
    await write(letter('c'));
    expect(await client.show('c')).toMatchObject({ id: 'c' });
  });
});

describe('a store in trouble', () => {
  it('fails the writes of a drain, keeps nothing of them, and answers the rest', async () => {
    const { client, drain, write, path } = await store();
    await write(letter('a'));
    await failNextWrite('ENOSPC');
    const replies = await drain(
      { op: 'write', letter: letter('b') },
      { op: 'show', id: 'a' },
      { op: 'write', letter: letter('a') },
    );
    expect(replies).toMatchObject([{ error: { code: 'OUTPUT_FULL' } }, { value: { id: 'a' } }, { value: undefined }]);
    expect(await readFile(path, 'utf8')).not.toContain('"b"');
    await write(letter('b'));
    expect((await client.list()).map(one => one.id)).toEqual(['a', 'b']);
  });

  it('whose file holds a line that is no JSON says where', async () => {
    const { write, close, dataDir, path } = await store();
    await write(letter('a'));
    await close();
    await appendFile(path, 'edited by hand\n');
    await expect(store(dataDir)).rejects.toMatchObject({
      code: 'IO_FAILED',
      class: 'fatal',
      place: { at: `${path}:2` },
    });
  });

  it('after a crash in the middle of a write has all that was answered', async () => {
    const { write, close, dataDir, path } = await store();
    await write(letter('a'));
    await close();
    await appendFile(path, '{"v":1,"id":"torn","at":"20');
    const again = await store(dataDir);
    expect((await again.client.list()).map(one => one.id)).toEqual(['a']);
    await again.write(letter('b'));
    await again.close();
    expect((await (await store(dataDir)).client.list()).map(one => one.id)).toEqual(['a', 'b']);
  });
});
