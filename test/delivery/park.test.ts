/** The store of parked messages (onKeyFull: park). */
import { deepStrictEqual } from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ParkFences, park } from '../../runtime/delivery/park.ts';
import type { Claim, Parked } from '../../runtime/host/parking.ts';
import { hashKey } from '../../runtime/lanes/key-hash.ts';
import type { Key } from '../../runtime/topology/define.ts';
import { opened } from '../support/asking.ts';
import { failNextWrite } from '../support/failing-disk.ts';
import { messageBody, messageKey } from '../support/messages.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { type VirtualEnvironment, virtualEnvironment } from '../support/virtual-clock.ts';

const FREE: Claim = { partition: 0, epoch: 1, incarnation: 1 };

function parked(position: number, key: Key = 'k', part: Partial<Parked> = {}): Parked {
  return {
    actor: 'one',
    key,
    hash: hashKey(key),
    body: { position },
    source: 's',
    epoch: 0,
    position,
    path: '',
    size: 10,
    ...part,
  };
}

async function store(folder?: string, environment?: VirtualEnvironment) {
  const dataDir = folder ?? (await tempFolder('park'));
  const { client, drain, close } = await opened(park(), dataDir, environment);
  const positions = async (key: Key = 'k', after = 0, count = 1000) =>
    (await client.take('one', key, after, count)).map(({ message }) => message.position);
  return {
    client,
    drain,
    positions,
    close,
    dataDir,
    bytes: async () => (await stat(join(dataDir, 'parked.ndjson'))).size,
  };
}

describe('parked messages', () => {
  it('come back in the order of their key, whatever else is parked between them', async () => {
    const { client, positions } = await store();
    for (let i = 0; i < 12; i++) await client.append([parked(i, i % 2 === 0 ? 'a' : 'b')], FREE);
    expect(await positions('a')).toEqual([0, 2, 4, 6, 8, 10]);
    expect(await positions('b')).toEqual([1, 3, 5, 7, 9, 11]);
    expect(await positions('never')).toEqual([]);
  });

  it('come back in parts, each after the last number seen', async () => {
    const { client } = await store();
    await client.append(
      Array.from({ length: 10 }, (_, i) => parked(i)),
      FREE,
    );
    const seen: number[] = [];
    for (let after = 0; ; ) {
      const part = await client.take('one', 'k', after, 3);
      if (part.length === 0) break;
      expect(part.length).toBeLessThanOrEqual(3);
      seen.push(...part.map(({ message }) => message.position));
      after = part.at(-1)!.seq;
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('stay until they are forgotten, across restarts', async () => {
    const first = await store();
    const seqs = await first.client.append([parked(1), parked(2), parked(3)], FREE);
    await first.client.take('one', 'k', 0, 2);
    await first.client.forget('one', 'k', seqs[1]!);
    await first.close();
    const { positions, client } = await store(first.dataDir);
    expect(await positions()).toEqual([1, 3]);
    expect(await client.keys([])).toEqual([{ actor: 'one', key: 'k', hash: hashKey('k'), count: 2, last: seqs[2] }]);
  });

  it('are the very messages and keys, whatever they hold', async () => {
    const { client, close, dataDir } = await store();
    const messages = fc
      .sample(fc.tuple(messageBody, messageKey), { numRuns: 100, seed: 3 })
      .map(([body, key], i) => parked(i, key, { body, path: i % 2 === 0 ? '' : '0.1' }));
    await client.append([...messages, parked(999, 2n ** 70n, { body: Buffer.from([0, 255]) })], FREE);
    await close();
    const again = await store(dataDir);
    for (const message of messages) {
      const found = (await again.client.take('one', message.key, 0, 1000)).map(one => one.message);
      deepStrictEqual(
        found.find(one => one.position === message.position),
        message,
      );
    }
    expect((await again.client.take('one', 2n ** 70n, 0, 1))[0]!.message.body).toEqual(Buffer.from([0, 255]));
  });

  it('`1`, `1n` and `"1"` are of three keys, and one key of two actors is two', async () => {
    const { client, positions } = await store();
    for (const [i, key] of ([1, 1n, '1'] as const).entries()) await client.append([parked(i, key)], FREE);
    await client.append([parked(7, '1', { actor: 'two' })], FREE);
    expect([await positions(1), await positions(1n), await positions('1')]).toEqual([[0], [1], [2]]);
    expect(await client.keys([])).toHaveLength(4);
  });

  it('parked again after a crash are one, and say so by a negative number', async () => {
    const { client, close, dataDir, positions } = await store();
    const [first] = await client.append([parked(1)], FREE);
    expect(await client.append([parked(1), parked(2), parked(2)], FREE)).toEqual([
      -first!,
      expect.any(Number),
      expect.any(Number),
    ]);
    expect(await positions()).toEqual([1, 2]);
    await close();
    const again = await store(dataDir);
    expect(await again.client.append([parked(1)], FREE)).toEqual([-first!]);
    expect(await again.positions()).toEqual([1, 2]);
  });

  it('that were forgotten may be parked anew', async () => {
    const { client, positions } = await store();
    const [first] = await client.append([parked(1), parked(2)], FREE);
    await client.forget('one', 'k', first!);
    const [again] = await client.append([parked(1)], FREE);
    expect(again).toBeGreaterThan(first!);
    expect(await positions()).toEqual([2, 1]);
  });
});

describe('the file', () => {
  it('is emptied when nothing is parked, at work and at the start', async () => {
    const { client, close, dataDir, bytes } = await store();
    const seqs = await client.append([parked(1), parked(2)], FREE);
    expect(await bytes()).toBeGreaterThan(0);
    await client.forget('one', 'k', seqs[0]!);
    expect(await bytes()).toBeGreaterThan(0);
    await client.forget('one', 'k', seqs[1]!);
    expect(await bytes()).toBe(0);
    expect(await client.keys([])).toEqual([]);
    await close();
    await (await store(dataDir)).close();
    expect(await bytes()).toBe(0);
  });

  it('numbers go up, though it was emptied and opened again: hosts remember how far they took', async () => {
    const first = await store();
    const seqs = await first.client.append(
      Array.from({ length: 50 }, (_, i) => parked(i)),
      FREE,
    );
    for (const seq of seqs) await first.client.forget('one', 'k', seq);
    await first.close();
    const later = virtualEnvironment();
    await later.advance(1);
    const again = await store(first.dataDir, later);
    const [next] = await again.client.append([parked(50)], FREE);
    expect(next).toBeGreaterThan(seqs.at(-1)!);
  });

  it('that cannot be written refuses the messages, and takes them when it can', async () => {
    const { client, drain, positions } = await store();
    await client.append([parked(1)], FREE);
    await failNextWrite('ENOSPC');
    const replies = await drain(
      { op: 'append', messages: [parked(2)], claim: FREE },
      { op: 'take', actor: 'one', key: 'k', after: 0, count: 9 },
    );
    expect(replies[0]).toMatchObject({ error: { code: 'OUTPUT_FULL' } });
    expect((replies[1] as { value: unknown[] }).value).toHaveLength(1);
    const [seq] = await client.append([parked(2)], FREE);
    expect(seq).toBeGreaterThan(0);
    expect(await positions()).toEqual([1, 2]);
  });

  it('answers a drain by what stands after it: what was appended in it can be taken in it', async () => {
    const { drain } = await store();
    const replies = await drain(
      { op: 'append', messages: [parked(1)], claim: FREE },
      { op: 'append', messages: [parked(1), parked(2)], claim: FREE },
      { op: 'take', actor: 'one', key: 'k', after: 0, count: 9 },
    );
    expect((replies[2] as { value: { message: Parked }[] }).value.map(({ message }) => message.position)).toEqual([
      1, 2,
    ]);
  });
});

describe('a fence', () => {
  it('admits the last home that claimed a partition, and among its lives the latest', () => {
    const fences = new ParkFences();
    const claim = (epoch: number, incarnation: number, partition = 5): Claim => ({ partition, epoch, incarnation });
    expect(fences.admits(claim(1, 1))).toBe(true);
    fences.claim([claim(4, 2)]);
    expect([claim(4, 2), claim(4, 3), claim(5, 1)].map(one => fences.admits(one))).toEqual([true, true, true]);
    expect([claim(4, 1), claim(3, 9)].map(one => fences.admits(one))).toEqual([false, false]);
    expect(fences.admits(claim(1, 1, 6))).toBe(true);
    fences.claim([claim(3, 9)]);
    expect(fences.admits(claim(4, 2))).toBe(true);
  });

  it('refuses what a dead home had sent once its successor has looked', async () => {
    const { client, positions } = await store();
    await client.append([parked(1)], { partition: 0, epoch: 1, incarnation: 1 });
    await client.keys([{ partition: 0, epoch: 1, incarnation: 2 }]);
    await expect(client.append([parked(2)], { partition: 0, epoch: 1, incarnation: 1 })).rejects.toMatchObject({
      code: 'IO_FAILED',
      class: 'fatal',
    });
    await client.append([parked(3)], { partition: 0, epoch: 1, incarnation: 2 });
    expect(await positions()).toEqual([1, 3]);
  });
});
