/** Whatever comes, the server neither falls nor hangs: it answers or closes, and serves others as before. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import fc from 'fast-check';
import { TYPES } from 'tedious';
import { expect, it } from 'vitest';
import { proxyTo } from '../proxy.ts';
import { TdsFault } from './bytes.ts';
import { asBatch, type Client, tdsClient } from './client.ts';
import { readRequest } from './dispatch.ts';
import { type TdsServer, tdsServer } from './index.ts';
import { readLogin } from './login.ts';
import { type Message, MessageReader, PACKET, PacketWriter } from './packets.ts';
import { readPrelogin } from './prelogin.ts';
import { Scripted } from './scripted.ts';

const MESSAGE_BYTES = 1 << 20;

const serve = (): Promise<TdsServer> =>
  tdsServer({
    maxMessageBytes: MESSAGE_BYTES,
    open: session => new Scripted(session, { ping: (_query, answer) => answer.done(1) }),
  });

/** One of each that tedious sends, after the prelogin and the login. */
async function recorded(server: TdsServer): Promise<readonly Message[]> {
  const reader = new MessageReader(MESSAGE_BYTES);
  const messages: Message[] = [];
  const proxy = await proxyTo(`tcp://127.0.0.1:${server.port}`, {
    watch: (direction, bytes) => {
      if (direction === 'toClient') return;
      reader.push(bytes);
      for (let message = reader.next(); message; message = reader.next()) messages.push(message);
    },
  });
  const client = await tdsClient({ host: '127.0.0.1', port: proxy.port });
  const params = {
    a: { type: TYPES.BigInt, value: 7n },
    b: { type: TYPES.NVarChar, value: 'text' },
    d: { type: TYPES.Decimal, value: 1.5, options: { precision: 18, scale: 4 } },
    e: { type: TYPES.DateTimeOffset, value: new Date(0) },
    f: { type: TYPES.UniqueIdentifier, value: '00112233-4455-6677-8899-aabbccddeeff' },
    g: { type: TYPES.VarBinary, value: Buffer.from([1, 2, 3]) },
    h: { type: TYPES.DateTime, value: new Date(0) },
    i: { type: TYPES.Time, value: new Date(0) },
    j: { type: TYPES.Money, value: 1.5 },
    k: { type: TYPES.Bit, value: null },
    l: { type: TYPES.Float, value: 0.5 },
    m: { type: TYPES.NVarChar, value: 'x'.repeat(5000) },
  };
  await client.ask('ping', params);
  await client.ask('ping', {}, asBatch);
  await client.begin();
  await client.save('s');
  await client.commit();
  await client.reset();
  await loaded(client);
  return messages;
}

const loaded = ({ connection }: Client): Promise<unknown> =>
  new Promise(resolve => {
    const bulk = connection.newBulkLoad('t', {}, error => resolve(error));
    bulk.addColumn('id', TYPES.Int, { nullable: true });
    bulk.addColumn('text', TYPES.NVarChar, { nullable: true, length: 10 });
    const rows: Iterable<unknown[]> = [
      [1, 'a'],
      [null, null],
    ];
    connection.execBulkLoad(bulk, rows);
  });

/** Sends these and waits for an answer to each before the last; then says goodbye and waits for the server's. */
async function play(port: number, parts: readonly Buffer[]): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  const closed = once(socket, 'close');
  const reader = new MessageReader(MESSAGE_BYTES);
  await once(socket, 'connect');
  for (const part of parts.slice(0, -1)) {
    socket.write(part);
    await answered(socket, reader);
  }
  socket.end(parts.at(-1)!);
  socket.resume();
  await closed;
}

async function answered(socket: Socket, reader: MessageReader): Promise<void> {
  while (!reader.next()) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    reader.push(chunk);
  }
}

const packed = ({ type, payload }: Message): Buffer => new PacketWriter(4088, 0, type).cut(payload, true);

interface Change {
  readonly at: number;
  readonly kind: 'flip' | 'drop' | 'insert' | 'cut';
  readonly bytes: Uint8Array;
}

const changes: fc.Arbitrary<readonly Change[]> = fc.array(
  fc.record({
    at: fc.nat(10_000),
    kind: fc.constantFrom('flip', 'drop', 'insert', 'cut'),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
  }),
  { minLength: 1, maxLength: 4 },
);

function changed(bytes: Buffer, list: readonly Change[]): Buffer {
  return list.reduce((before, { at: any, kind, bytes: these }) => {
    const at = any % (before.length + 1);
    const after = before.subarray(at + (kind === 'insert' ? 0 : these.length));
    if (kind === 'cut') return before.subarray(0, at);
    return Buffer.concat([before.subarray(0, at), ...(kind === 'drop' ? [] : [these]), after]);
  }, bytes);
}

async function isWell(server: TdsServer): Promise<void> {
  expect(server.failures).toEqual([]);
  await expect.poll(() => server.connections.length).toBe(0);
  const client = await tdsClient(server);
  expect(await client.ask('ping')).toMatchObject({ count: 1 });
  await client.close();
}

it('random bytes do it no harm, before a login and after', async () => {
  const server = await serve();
  const [prelogin, login] = (await recorded(server)).map(packed);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.boolean(), async (bytes, isLater) => {
      await play(server.port, isLater ? [prelogin!, login!, Buffer.from(bytes)] : [Buffer.from(bytes)]);
    }),
    { numRuns: 150 },
  );
  expect(server.breaches.length).toBeGreaterThan(0);
  await server.connections[0]?.close();
  await isWell(server);
});

it('nor do messages that are changed, in their payload or anywhere', async () => {
  const server = await serve();
  const messages = await recorded(server);
  server.connections[0]!.close();
  expect(new Set(messages.map(({ type }) => type))).toEqual(
    new Set([PACKET.prelogin, PACKET.login, PACKET.batch, PACKET.rpc, PACKET.transaction, PACKET.bulk]),
  );
  const [prelogin, login, ...others] = messages;
  const announced = others.find(
    ({ type, payload }) => type === PACKET.batch && payload.includes('insert', 0, 'utf16le'),
  )!;
  await fc.assert(
    fc.asyncProperty(fc.nat(messages.length - 1), changes, fc.boolean(), async (index, list, isInside) => {
      const message = messages[index]!;
      const before = [prelogin!, login!].slice(0, index);
      if (message.type === PACKET.bulk) before.push(announced);
      const last = isInside
        ? packed({ ...message, payload: changed(message.payload, list) })
        : changed(packed(message), list);
      await play(server.port, [...before.map(packed), last]);
    }),
    { numRuns: 400 },
  );
  await isWell(server);
});

it('no byte of a message, wherever it is cut or whatever stands there, is anything but read or refused', async () => {
  const server = await serve();
  const messages = await recorded(server);
  for (const { type, payload } of messages) {
    const read = { [PACKET.prelogin]: readPrelogin, [PACKET.login]: readLogin }[type];
    const attempt = (bytes: Buffer): void => {
      try {
        if (read) read(bytes);
        else readRequest({ type, payload: bytes, isIgnored: false, resets: 'no' });
      } catch (error) {
        expect(error).toBeInstanceOf(TdsFault);
      }
    };
    for (let at = 0; at < Math.min(payload.length, 1200); at++) {
      attempt(payload.subarray(0, at));
      for (const byte of [0, 1, 0x7f, 0x80, 0xff, payload[at]! + 1, payload[at]! ^ 0x20]) {
        const bytes = Buffer.from(payload);
        bytes[at] = byte;
        attempt(bytes);
      }
    }
  }
});

it('a message that is too long ends the connection', async () => {
  const server = await serve();
  const [prelogin, login] = (await recorded(server)).map(packed);
  const part = Buffer.alloc(4096);
  part.set([PACKET.batch, 0, 4096 >> 8, 0]);
  await play(server.port, [prelogin!, login!, Buffer.concat(Array.from({ length: 300 }, () => part))]);
  expect(server.breaches.map(({ message }) => message)).toEqual([`a message of more than ${MESSAGE_BYTES} bytes`]);
});
