/** The proxy for fault tests: byte-exact while nothing is wrong, and each fault as it says. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type FaultProxy, proxyTo } from './proxy.ts';
import { isPush, pulsarFrames, respReplies } from './proxy-splitters.ts';

/** A server that hands over each connection, and what it read of it. */
async function serverOf(use: (socket: Socket) => void) {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, socket => {
    sockets.push(socket.on('error', () => {}));
    use(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { url: `tcp://127.0.0.1:${(server.address() as { port: number }).port}`, sockets };
}

const echo = () => serverOf(socket => void socket.pipe(socket));

/** A connection through the proxy, and all it has read. */
function client(proxy: FaultProxy) {
  const socket = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  const seen = {
    socket,
    text: '',
    error: null as NodeJS.ErrnoException | null,
    closed: once(socket, 'close').catch(() => {}),
  };
  socket.on('data', chunk => (seen.text += chunk.toString('latin1')));
  socket.on('error', error => (seen.error = error));
  return seen;
}

const soon = { interval: 1, timeout: 5000 };

describe('the proxy', () => {
  test('passes all bytes on, in both directions, and the ends of both', async () => {
    const { url } = await echo();
    const proxy = await proxyTo(url);
    const bytes = Buffer.from(Uint8Array.from({ length: 5_000_000 }, (_, n) => (n * 7919) >> 3));
    const one = client(proxy);
    one.socket.end(bytes);
    await once(one.socket, 'end');
    expect(one.text === bytes.toString('latin1')).toBe(true);
    await one.closed;
    expect(one.error).toBe(null);
    await expect.poll(() => proxy.connections, soon).toBe(0);
  });

  test('has the url of its target, with a port of its own', async () => {
    const proxy = await proxyTo('pulsar+ssl://localhost:1234');
    expect(proxy.url).toBe(`pulsar+ssl://localhost:${proxy.port}`);
  });

  test('a delay is kept in each direction, and so is the order', async () => {
    const proxy = await proxyTo((await echo()).url);
    const one = client(proxy);
    proxy.delay(100);
    const began = performance.now();
    for (const text of ['a', 'b', 'c']) one.socket.write(text);
    await expect.poll(() => one.text, soon).toBe('abc');
    expect(performance.now() - began).toBeGreaterThanOrEqual(199);
    proxy.delay(3_600_000);
    one.socket.write('d');
    await expect.poll(() => proxy.waiting, soon).toBe(1);
    await proxy.heal();
    await expect.poll(() => one.text, soon).toBe('abcd');
  });

  test('a black hole accepts, forwards nothing and closes nothing; afterwards all goes on', async () => {
    const { url, sockets } = await echo();
    const proxy = await proxyTo(url);
    const old = client(proxy);
    old.socket.write('a');
    await expect.poll(() => old.text, soon).toBe('a');
    proxy.blackhole();
    const young = client(proxy);
    await once(young.socket, 'connect');
    old.socket.write('b');
    young.socket.write('c');
    sockets[0]!.write('x');
    await expect.poll(() => proxy.waiting, soon).toBe(3);
    sockets[0]!.destroy();
    await once(sockets[0]!, 'close');
    expect([old.text, young.text, sockets.length, old.socket.destroyed]).toEqual(['a', '', 1, false]);
    const ended = once(old.socket, 'end');
    await proxy.heal();
    await expect.poll(() => young.text, soon).toBe('c');
    await ended;
    expect(old.text).toBe('ax');
  });

  test('a sender into a black hole feels it', async () => {
    const proxy = await proxyTo((await echo()).url);
    proxy.blackhole();
    const one = client(proxy);
    const bytes = 64 << 20;
    one.socket.write(Buffer.alloc(bytes));
    await expect.poll(() => proxy.waiting, soon).toBeGreaterThan(1 << 20);
    expect(proxy.waiting).toBeLessThan(2 << 20);
    expect(one.socket.writableLength).toBeGreaterThan(0);
  });

  test.each(['toServer', 'toClient'] as const)(
    'half open: %s nothing passes, the other way all does',
    async direction => {
      const { url, sockets } = await serverOf(socket => void socket.resume().write('hello'));
      const proxy = await proxyTo(url);
      const one = client(proxy);
      await expect.poll(() => one.text, soon).toBe('hello');
      proxy.halfOpen(direction);
      one.socket.write('up');
      sockets[0]!.write('down');
      const read = (): [number, string] => [sockets[0]!.bytesRead, one.text];
      const half: [number, string] = direction === 'toServer' ? [0, 'hellodown'] : [2, 'hello'];
      await expect.poll(() => [...read(), proxy.waiting], soon).toEqual([...half, direction === 'toServer' ? 2 : 4]);
      await proxy.heal();
      await expect.poll(read, soon).toEqual([2, 'hellodown']);
    },
  );

  test('a cut resets both sides, and new connections work', async () => {
    const { url, sockets } = await echo();
    const proxy = await proxyTo(url);
    const one = client(proxy);
    one.socket.write('a');
    await expect.poll(() => one.text, soon).toBe('a');
    const other = once(sockets[0]!, 'error');
    proxy.cut();
    await one.closed;
    expect((await other)[0]).toMatchObject({ code: 'ECONNRESET' });
    expect(one.error!.code).toBe('ECONNRESET');
    expect(proxy.connections).toBe(0);
    const two = client(proxy);
    two.socket.write('b');
    await expect.poll(() => two.text, soon).toBe('b');
  });

  test('a reset on one side is a reset on the other', async () => {
    const { url, sockets } = await echo();
    const proxy = await proxyTo(url);
    const one = client(proxy);
    one.socket.write('a');
    await expect.poll(() => one.text, soon).toBe('a');
    sockets[0]!.resetAndDestroy();
    await one.closed;
    expect(one.error!.code).toBe('ECONNRESET');
  });

  test('refused: new connections are, old ones live; healed, the port is the same', async () => {
    const proxy = await proxyTo((await echo()).url);
    const old = client(proxy);
    await once(old.socket, 'connect');
    const { port } = proxy;
    proxy.refuse();
    const young = client(proxy);
    await young.closed;
    expect(young.error!.code).toBe('ECONNREFUSED');
    old.socket.write('a');
    await expect.poll(() => old.text, soon).toBe('a');
    await proxy.heal();
    expect(proxy.port).toBe(port);
    const later = client(proxy);
    later.socket.write('b');
    await expect.poll(() => later.text, soon).toBe('b');
  });

  test('a target that refuses resets the client', async () => {
    const gone = await proxyTo('tcp://127.0.0.1:1');
    gone.refuse();
    const one = client(await proxyTo(gone.url));
    await one.closed;
    expect(one.error!.code).toBe('ECONNRESET');
  });

  test('every n-th reply is dropped, counted over all connections, and the rest passes', async () => {
    const proxy = await proxyTo((await echo()).url, { replies: respReplies });
    proxy.dropReply(3);
    const one = client(proxy);
    for (let n = 1; n <= 7; n++) one.socket.write(`:${n}\r\n`);
    await expect.poll(() => one.text, soon).toBe(':1\r\n:2\r\n:4\r\n:5\r\n:7\r\n');
    const two = client(proxy);
    two.socket.write(':8\r\n:9\r\n:10\r\n');
    await expect.poll(() => two.text, soon).toBe(':8\r\n:10\r\n');
    await proxy.heal();
    two.socket.write(':11\r\n:12\r\n');
    await expect.poll(() => two.text, soon).toBe(':8\r\n:10\r\n:11\r\n:12\r\n');
  });

  test('a reply can take its connection with it, and pushes need not count', async () => {
    const proxy = await proxyTo((await echo()).url, { replies: respReplies });
    proxy.dropReply(2, { of: reply => !isPush(reply), cuts: true });
    const one = client(proxy);
    one.socket.write('+a\r\n>1\r\n+p\r\n>1\r\n+p\r\n+b\r\n+c\r\n');
    await one.closed;
    expect(one.error!.code).toBe('ECONNRESET');
    expect('+a\r\n>1\r\n+p\r\n>1\r\n+p\r\n'.startsWith(one.text)).toBe(true);
    expect(proxy.connections).toBe(0);
  });

  test('what passes can be watched', async () => {
    const seen: string[] = [];
    const watch = (direction: string, bytes: Buffer, connection: number) =>
      seen.push(`${connection} ${direction} ${bytes}`);
    const proxy = await proxyTo((await echo()).url, { watch });
    const one = client(proxy);
    one.socket.write('a');
    await expect.poll(() => one.text, soon).toBe('a');
    expect(seen).toEqual(['1 toServer a', '1 toClient a']);
  });
});

describe('splitters', () => {
  const replies = [
    '+OK\r\n',
    '-ERR no\r\n',
    ':-1\r\n',
    '$-1\r\n',
    '*-1\r\n',
    '_\r\n',
    ',1.5\r\n',
    '#t\r\n',
    '(123456789012345678901234567890\r\n',
    '$0\r\n\r\n',
    '$8\r\na\r\nb\r\n+c\r\n',
    '!5\r\nERR x\r\n',
    '=7\r\ntxt:abc\r\n',
    '*0\r\n',
    '*2\r\n*2\r\n:1\r\n$2\r\nab\r\n*0\r\n',
    '%2\r\n+a\r\n*1\r\n:1\r\n+b\r\n%1\r\n+c\r\n:2\r\n',
    '~2\r\n:1\r\n:2\r\n',
    '>2\r\n+message\r\n$1\r\nx\r\n',
    '|1\r\n+ttl\r\n:9\r\n*1\r\n+value\r\n',
    '*1\r\n|1\r\n+ttl\r\n:9\r\n+value\r\n',
  ];
  const frames = [0, 1, 300].map(size => {
    const frame = Buffer.alloc(4 + size, size);
    frame.writeUInt32BE(size);
    return frame.toString('latin1');
  });

  test.each([
    ['replies of Redis', respReplies, replies],
    ['frames of Pulsar', pulsarFrames, frames],
  ])('%s are found however the stream is cut', (_, splitter, samples) => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...samples)),
        fc.infiniteStream(fc.integer({ min: 1, max: 20 })),
        (sent, sizes) => {
          const stream = Buffer.from(sent.join(''), 'latin1');
          const split = splitter();
          const found: string[] = [];
          for (let at = 0; at < stream.length; ) {
            const size = sizes.next().value;
            found.push(...split(stream.subarray(at, at + size)).map(frame => frame.toString('latin1')));
            at += size;
          }
          expect(found).toEqual(sent);
        },
      ),
    );
  });
});
