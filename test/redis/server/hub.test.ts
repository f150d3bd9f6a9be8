/** What a server's driver needs of the hub: who hears what, and that all are told of what they may have missed. */
import { expect, test } from 'vitest';
import { Hub } from '../../../actors/redis/hub.ts';
import { virtualEnvironment } from '../../support/virtual-clock.ts';

const { signal } = new AbortController();
const hubOf = (maxMessages = 10): Hub => new Hub('store', virtualEnvironment(), { maxMessages, maxBytes: 1_000_000 });
const given = (channel: string, message = '1') => ({ channel, message });

test('a message goes to those whose subscription it came by, and to no others', async () => {
  const hub = hubOf();
  const ids = [{ channel: 'c' }, { pattern: 'c*' }, { pattern: '*' }].map(what => hub.open(what));
  hub.give(given('c', 'by channel'), { channel: 'c' });
  hub.give(given('c', 'by pattern'), { pattern: 'c*' });
  const heard = await Promise.all(ids.slice(0, 2).map(async id => (await hub.poll(id, 0, signal))!.heard));
  expect(heard).toEqual([[given('c', 'by channel')], [given('c', 'by pattern')]]);
  expect(hub.heard()).toEqual([{ channel: 'c' }, { pattern: 'c*' }, { pattern: '*' }]);
  hub.close();
});

test('the last one to leave is told, and not the one before', () => {
  const hub = hubOf();
  const left: unknown[] = [];
  hub.onUnheard = what => left.push(what);
  const [a, b, p, q] = [{ channel: 'c' }, { channel: 'c' }, { pattern: '*' }, { pattern: '*' }].map(what =>
    hub.open(what),
  );
  for (const id of [a!, p!]) hub.drop(id);
  expect(left).toEqual([]);
  for (const id of [b!, q!]) hub.drop(id);
  expect(left).toEqual([{ channel: 'c' }, { pattern: '*' }]);
  hub.close();
});

test('what may have been missed is told where it is missing, and wakes who waits', async () => {
  const hub = hubOf(1);
  const id = hub.open({ channel: 'c' });
  const waiting = hub.poll(id, 0, signal);
  hub.miss();
  expect(await waiting).toEqual({ seq: 1, heard: [{ lost: 'unknown' }] });
  hub.give(given('c', 'heard'), { channel: 'c' });
  hub.miss();
  hub.miss();
  hub.give(given('c', 'has no room'), { channel: 'c' });
  expect(await hub.poll(id, 1, signal)).toEqual({ seq: 2, heard: [given('c', 'heard'), { lost: 'unknown' }] });
  hub.give(given('c', 'heard again'), { channel: 'c' });
  hub.give(given('c', 'has no room'), { channel: 'c' });
  hub.miss();
  expect(await hub.poll(id, 2, signal)).toEqual({ seq: 3, heard: [given('c', 'heard again'), { lost: 'unknown' }] });
  hub.close();
});
