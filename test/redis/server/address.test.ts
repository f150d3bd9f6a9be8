/** Urls of servers: what they lead to, what is wrong with others, and that nothing of a password is told. */
import { expect, test } from 'vitest';
import { addressOf, addressProblem, nameOf } from '../../../actors/redis/server/address.ts';

const ALONE = { isTls: false, username: undefined, password: undefined, db: 0, master: '' };

test('urls say where servers are, and who we are to them', () => {
  expect(addressOf('redis://host')).toEqual({ kind: 'standalone', hosts: [{ host: 'host', port: 6379 }], ...ALONE });
  expect(addressOf('rediss://me:p%40ss%2F:@[::1]:7000/3')).toEqual({
    kind: 'standalone',
    hosts: [{ host: '::1', port: 7000 }],
    isTls: true,
    username: 'me',
    password: 'p@ss/:',
    db: 3,
    master: '',
  });
  expect(addressOf('redis+sentinel://:secret@a,b:26380/my%20master/2')).toEqual({
    kind: 'sentinel',
    hosts: [
      { host: 'a', port: 26379 },
      { host: 'b', port: 26380 },
    ],
    isTls: false,
    username: undefined,
    password: 'secret',
    db: 2,
    master: 'my master',
  });
  expect(addressOf('rediss+cluster://a:1,b:2/')).toMatchObject({
    kind: 'cluster',
    isTls: true,
    hosts: [
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
    ],
  });
});

test('others are told what is wrong with them, without what they hold', () => {
  const wrong: Readonly<Record<string, string>> = {
    'redis:': 'no host',
    'redis://': 'no host',
    'redis://me:secret@': 'no host',
    'redis://me:secret@host:0': 'host 1 is no host with a port',
    'redis://me:secret@host:65536': 'host 1 is no host with a port',
    'redis://me:secret@a,b': 'several hosts',
    'redis://me:secret@host/x': 'no number of a database',
    'redis://me:secret@host/1/2': 'no number of a database',
    'redis://me:secret%@host': 'a % that stands for nothing',
    'redis+sentinel://me:secret@a,b': 'does not name the master',
    'redis+sentinel://me:secret@a,,b/m': 'host 2 is no host',
    'redis+cluster://me:secret@a,b/1': 'a cluster has no databases',
    'redis://me:secret@host?x=1': 'no host',
  };
  for (const [url, what] of Object.entries(wrong)) {
    expect([url, addressProblem(url)]).toEqual([url, expect.stringContaining(what)]);
    expect(addressProblem(url)).not.toContain('secret');
  }
});

test('servers are named by their hosts', () => {
  expect(nameOf(addressOf('redis://me:secret@[::1]'))).toBe('[::1]:6379');
  expect(nameOf(addressOf('redis+sentinel://me:secret@a,b/m'))).toBe('m of a:26379,b:26379');
});
