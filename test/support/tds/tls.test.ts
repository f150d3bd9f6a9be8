/** TLS in both of its modes, by tedious, which checks the certificate. */
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, type ClientOptions, tdsClient } from './client.ts';
import { errors, type Session, type TdsServer, type TdsServerOptions, tdsServer } from './index.ts';
import { makePems, type Pems } from './pems.ts';
import { Scripted } from './scripted.ts';

let pems: Pems;
beforeAll(async () => {
  pems = await makePems();
});
afterAll(() => pems.remove());

const trusting = (): ClientOptions => ({ cryptoCredentialsDetails: { ca: pems.ca } });

async function serve(options: Partial<TdsServerOptions> = {}): Promise<{ tds: TdsServer; sessions: Session[] }> {
  const sessions: Session[] = [];
  const tds = await tdsServer({
    tls: pems.tls,
    open: session => {
      sessions.push(session);
      return new Scripted(session, {
        rows: async (_query, answer) => {
          answer.columns([{ name: 'text', type: 'nvarchar(max)' }]);
          for (let row = 0; row < 200; row++) await answer.row([`${row} `.repeat(1000)]);
          answer.done();
        },
        endless: async (_query, answer) => {
          answer.columns([{ name: 'text', type: 'nvarchar(max)' }]);
          for (;;) await answer.row(['x'.repeat(1000)]);
        },
        hang: (_query, { signal }) =>
          new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      });
    },
    ...options,
  });
  return { tds, sessions };
}

async function works(client: Client): Promise<void> {
  expect(await client.ask('rows')).toMatchObject({ count: 200 });
  await client.begin();
  const { outcome } = client.start('hang');
  client.connection.cancel();
  await expect(outcome).rejects.toMatchObject({ code: 'ECANCEL' });
  await client.commit();
  await client.reset();
}

describe.each([true, 'strict'] as const)('encrypt: %s', encrypt => {
  it('carries logins, rows, cancels and transactions', async () => {
    const { tds, sessions } = await serve();
    const client = await tdsClient(tds, { encrypt, name: 'localhost', ...trusting() });
    expect(sessions[0]).toMatchObject({ isEncrypted: true });
    await works(client);
    expect([tds.breaches, tds.failures]).toEqual([[], []]);
  });

  it.each([1, 50, 4096])('carries them in packets of %d bytes', async packetBytes => {
    const { tds } = await serve({ packetBytes });
    const client = await tdsClient(tds, { encrypt, name: 'localhost', ...trusting() });
    if (packetBytes > 1) await works(client);
    else await client.reset();
  });

  it('stands twenty handshakes one after the other', async () => {
    const { tds } = await serve();
    for (let round = 0; round < 20; round++) {
      const client = await tdsClient(tds, { encrypt, name: 'localhost', ...trusting() });
      await client.close();
    }
    expect(tds.accepted).toBe(20);
    await expect.poll(() => tds.connections.length).toBe(0);
  });

  it('is refused by a client that does not know the authority, or looks for another name', async () => {
    const { tds } = await serve();
    await expect(tdsClient(tds, { encrypt, name: 'localhost', trustServerCertificate: false })).rejects.toMatchObject({
      code: 'ESOCKET',
    });
    await expect(
      tdsClient(tds, { encrypt, name: 'localhost', serverName: 'other.example', ...trusting() }),
    ).rejects.toMatchObject({ code: 'ESOCKET' });
    await expect.poll(() => tds.connections.length).toBe(0);
  });

  it('tells a login that it is refused', async () => {
    const { tds } = await serve({
      open: ({ login }) => {
        throw errors.loginFailed(login.user);
      },
    });
    await expect(tdsClient(tds, { encrypt, name: 'localhost', ...trusting() })).rejects.toMatchObject({
      code: 'ELOGIN',
      message: `Login failed for user 'sa'.`,
    });
    await expect.poll(() => tds.connections.length).toBe(0);
  });

  it('fails with a server that speaks no TLS', async () => {
    const { tds } = await serve();
    const plain = await tdsServer({ open: session => new Scripted(session) });
    await expect(tdsClient(plain, { encrypt, name: 'localhost', ...trusting() })).rejects.toMatchObject({
      code: encrypt === true ? 'EENCRYPT' : 'ESOCKET',
    });
    expect(tds.accepted).toBe(0);
  });

  it('makes the server wait for a reader that pauses, and tells why it ends', async () => {
    const { tds } = await serve();
    const client = await tdsClient(tds, { encrypt, name: 'localhost', ...trusting() });
    const { request, outcome } = client.start('endless');
    await once(request, 'row');
    request.pause();
    await expect.poll(() => tds.connections[0]!.isFull, { timeout: 10_000 }).toBe(true);
    client.connection.cancel();
    await expect(outcome).rejects.toMatchObject({ code: 'ECANCEL' });
    tds.fault({ error: errors.throttled() });
    await expect(client.ask('rows')).rejects.toMatchObject({ number: 40_501, class: 20 });
    await expect.poll(() => client.connection.closed).toBe(true);
    await expect.poll(() => tds.connections.length).toBe(0);
  });

  it('is cut at a byte of what it carries', async () => {
    const { tds } = await serve();
    const client = await tdsClient(tds, { encrypt, name: 'localhost', ...trusting() });
    const watch = tds.fault({ on: ({ sql }) => sql === 'rows', breaks: { at: 150_000, by: 'end' } });
    const { request, outcome } = client.start('rows');
    let rows = 0;
    request.on('row', () => rows++);
    await expect(outcome).rejects.toBeDefined();
    expect(watch.hits).toBe(1);
    expect(rows).toBeGreaterThan(0);
    expect(rows).toBeLessThan(200);
  });
});

it('a client that does not encrypt may stay, unless the server insists', async () => {
  const { tds, sessions } = await serve();
  await works(await tdsClient(tds, { encrypt: false }));
  expect(sessions[0]).toMatchObject({ isEncrypted: false });
  const { tds: strict } = await serve({ isTlsForced: true });
  await expect(tdsClient(strict, { encrypt: false })).rejects.toMatchObject({ code: 'EENCRYPT' });
});
