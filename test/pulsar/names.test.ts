/** Names of topics and subscriptions, patterns, message ids, and urls. */
import { expect, test } from 'vitest';
import { compareIds, formatId, parseId } from '../../actors/pulsar/message-id.ts';
import { fileOf, placeOf, urlFault } from '../../actors/pulsar/place.ts';
import { checkSubscription, deadLetterTopic, topicName, topicPattern } from '../../actors/pulsar/topic-name.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('a topic has one full name, however it is spelt', () => {
  const full = 'persistent://public/default/orders';
  for (const spelt of ['orders', 'public/default/orders', full])
    expect(topicName(spelt)).toEqual({ full, namespace: 'public/default', local: 'orders', base: full, partition: -1 });
  expect(topicName('t/n/orders-partition-12')).toEqual({
    full: 'persistent://t/n/orders-partition-12',
    namespace: 't/n',
    local: 'orders-partition-12',
    base: 'persistent://t/n/orders',
    partition: 12,
  });
  expect(topicName('orders-partition-012').partition).toBe(-1);
});

test.each([
  ['', 'not a name'],
  ['a/b', 'expected name or tenant/namespace/name'],
  ['non-persistent://a/b/c', 'not persistent'],
  ['persistent://orders', 'expected persistent://tenant/namespace/name'],
  ['a//c', 'not a name'],
  ['a b', 'not a name'],
  ['ü', 'not a name'],
])('%j is no topic: %s', (name, why) => {
  expect(() => topicName(name)).toThrow(new RegExp(`^TOPIC_INVALID: .*${why}`));
});

test('dead letters go where the official clients put them', () => {
  const dead = 'persistent://public/default/orders-billing-DLQ';
  expect(deadLetterTopic('orders', 'billing')).toBe(dead);
  expect(deadLetterTopic('orders-partition-3', 'billing')).toBe(dead);
  expect(() => checkSubscription('a/b')).toThrow('TOPIC_INVALID');
  expect(() => checkSubscription('billing.v2')).not.toThrow();
});

test('a pattern is of one namespace, and of whole names', () => {
  expect(topicPattern('orders-.*')).toMatchObject({ namespace: 'public/default' });
  for (const said of ['t/n/a|b', 'persistent://t/n/a|b']) {
    const pattern = topicPattern(said);
    expect(pattern.namespace).toBe('t/n');
    expect(['a', 'b', 'ab', 'xa'].map(local => pattern.matches(local))).toEqual([true, true, false, false]);
  }
  expect(() => topicPattern('(')).toThrow('TOPIC_INVALID');
});

test('ids are read, written and compared', () => {
  expect(formatId(7, 3, -1)).toBe('7:3:-1:-1');
  expect(parseId('7:3:2:5')).toEqual({ ledger: 7, entry: 3, partition: 2, batchIndex: 5 });
  const ids = ['9:1:0:-1', '9:2:0:0', '9:2:0:1', '10:0:0:-1', '9007199254740993:0:0:-1', '9007199254740994:0:0:-1'];
  expect(ids.toReversed().toSorted(compareIds)).toEqual(ids);
  expect(compareIds('7:3:0:-1', '7:3:0:-1')).toBe(0);
  for (const bad of ['', '7:3', '7:3:0:-1:0', 'a:b:c:d', '7:-3:0:0', ' 7:3:0:0'])
    expect(() => compareIds(bad, '7:3:0:-1')).toThrow('CONFIG_INVALID');
  expect(() => parseId(null as never)).toThrow('CONFIG_INVALID');
});

test('a url names a bus in memory, or a file, or the database in a folder; relative ones are in the data folder', async () => {
  const folder = await tempFolder('pulsar');
  const fileAt = (url: string): string => {
    const place = placeOf(url, '/data');
    return place.kind === 'server' ? place.url : fileOf(place);
  };
  expect(fileAt('memory:')).toBe(':memory:');
  expect(fileAt(`file:${folder}`)).toBe(`${folder}/bus.db`);
  expect(fileAt(`file://${folder}/x.y`)).toBe(`${folder}/x.y`);
  expect(fileAt('file:bus')).toBe('/data/bus/bus.db');
  expect(fileAt('file:bus.db')).toBe('/data/bus.db');
  expect(fileAt('file:./not-there')).toBe(`${process.cwd()}/not-there/bus.db`);
  expect(fileAt('file:/not-there.db/')).toBe('/not-there.db/bus.db');
  expect(urlFault('memory:')).toBeUndefined();
  for (const url of ['pulsar://localhost', 'pulsar+ssl://a:1,b:2', 'pulsar://[::1]:6650']) {
    expect(urlFault(url)).toBeUndefined();
    expect(fileAt(url)).toBe(url);
  }
  for (const url of ['pulsar:', 'pulsar://', 'pulsar://a:0', 'pulsar://a:1,', 'pulsar://a/b', 'pulsar://a:70000'])
    expect(urlFault(url)).toMatch(/HOST:PORT/);
  for (const url of ['', 'file:', 'memory', 'http://x', './bus', 'file:a\0b'])
    expect(urlFault(url)).toBe('expected memory:, file:PATH, pulsar://HOST:PORT or pulsar+ssl://HOST:PORT');
});
