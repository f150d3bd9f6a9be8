/** What speaks to a Redis in tests and in the start of the services, where no Redis is needed to see it. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { lineOf, RedisAsking } from '../../scripts/services/redis-asking.ts';

/** Answers each chunk with the next of these, byte by byte, and then closes. */
async function serverWith(...replies: readonly string[]): Promise<{ port: number; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer(async socket => {
    socket.setNoDelay(true);
    for (const reply of replies) {
      asked.push(String((await once(socket, 'data'))[0]));
      for (const byte of Buffer.from(reply, 'latin1')) {
        socket.write(Uint8Array.of(byte));
        await new Promise(resolve => setImmediate(resolve));
      }
    }
    socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { port: (server.address() as { port: number }).port, asked };
}

test('questions and replies of all kinds, however they are cut', async () => {
  const { port, asked } = await serverWith(
    '+OK\r\n',
    ':-7\r\n',
    '$-1\r\n',
    '$4\r\n\r\n\xff\x00\r\n',
    '*3\r\n*-1\r\n*1\r\n:1\r\n-ERR inner\r\n',
    '-ERR no\r\n',
  );
  const asking = new RedisAsking(port);
  expect(await asking.ask('SET', 'ä', Uint8Array.of(0, 255))).toBe('OK');
  expect(asked[0]).toBe(Buffer.from('*3\r\n$3\r\nSET\r\n$2\r\n\xc3\xa4\r\n$2\r\n\0\xff\r\n', 'latin1').toString());
  expect(await asking.ask('INCR', 1)).toBe(-7);
  expect(await asking.ask('GET', 'a')).toBe(null);
  expect(await asking.ask('GET', 'b')).toBe('\r\n\xff\x00');
  expect(await asking.ask('EXEC')).toEqual([null, [1], new Error('ERR inner')]);
  await expect(asking.ask('X')).rejects.toThrow('ERR no');
  await expect(asking.ask('PING')).rejects.toThrow('broke');
  await expect(asking.ask('PING')).rejects.toThrow('broke');
});

test('lines of INFO', () => {
  const info = '# Server\r\nrole:master\r\nslave0:ip=127.0.0.1,state=online\r\n';
  expect([lineOf(info, 'role'), lineOf(info, 'slave0'), lineOf(info, 'slave')]).toEqual([
    'master',
    'ip=127.0.0.1,state=online',
    undefined,
  ]);
});
