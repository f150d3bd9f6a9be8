/** Cancels, time-outs, back-pressure, and answers in packets of any size. */
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { type ClientOptions, tdsClient } from './client.ts';
import { errors, type TdsServer, type TdsServerOptions, tdsServer } from './index.ts';
import { type Script, Scripted } from './scripted.ts';

const one: Script = async (_query, answer) => {
  answer.columns([{ name: 'one', type: 'int' }]);
  await answer.row([1]);
  answer.done();
};

/** Rows without end, or so many. */
const rows =
  (count: number, seen: { rows: number; waits: number; ended?: unknown } = { rows: 0, waits: 0 }): Script =>
  async (_query, answer) => {
    answer.columns([
      { name: 'id', type: 'bigint' },
      { name: 'text', type: 'nvarchar(200)' },
    ]);
    try {
      for (seen.rows = 0; seen.rows < count; seen.rows++) {
        const room = answer.row([BigInt(seen.rows), 'x'.repeat(200)]);
        if (!room) continue;
        seen.waits++;
        await room;
      }
    } catch (error) {
      seen.ended = error;
      throw error;
    }
    answer.done();
  };

/** A handler that is at work until it is told to stop. */
const working =
  (seen: { ended?: unknown } = {}): Script =>
  async (_query, { signal }) => {
    await once(signal, 'abort');
    seen.ended = signal.reason;
    signal.throwIfAborted();
  };

async function serve(scripts: Record<string, Script>, options: Partial<TdsServerOptions> = {}): Promise<TdsServer> {
  return tdsServer({ open: session => new Scripted(session, scripts), ...options });
}

async function pair(
  scripts: Record<string, Script>,
  client: ClientOptions = {},
  options: Partial<TdsServerOptions> = {},
) {
  const tds = await serve(scripts, options);
  return { tds, client: await tdsClient(tds, client) };
}

describe('a cancel', () => {
  it('ends a request that is at work, and the connection goes on', async () => {
    const seen: { ended?: unknown } = {};
    const { client, tds } = await pair({ working: working(seen), 'SELECT 1': one });
    for (let round = 0; round < 3; round++) {
      const { outcome } = client.start('working');
      await expect.poll(() => tds.connections[0]!.isBusy).toBe(true);
      client.connection.cancel();
      await expect(outcome).rejects.toMatchObject({ code: 'ECANCEL' });
      expect(await client.ask('SELECT 1')).toMatchObject({ rows: [[1]] });
    }
    expect(seen.ended).toMatchObject({ message: 'the client cancelled the request' });
    expect(tds.failures).toEqual([]);
  });

  it('ends a stream of rows, also one that waits for its reader', async () => {
    const seen = { rows: 0, waits: 0, ended: undefined as unknown };
    const { client, tds } = await pair({ rows: rows(Number.POSITIVE_INFINITY, seen), 'SELECT 1': one });
    const { request, outcome } = client.start('rows');
    await once(request, 'row');
    request.pause();
    await expect.poll(() => tds.connections[0]!.isFull, { timeout: 10_000 }).toBe(true);
    client.connection.cancel();
    await expect(outcome).rejects.toMatchObject({ code: 'ECANCEL' });
    expect(seen.ended).toBeInstanceOf(Error);
    expect(await client.ask('SELECT 1')).toMatchObject({ rows: [[1]] });
  });

  it('comes by itself when time is over', async () => {
    const { client } = await pair({ working: working(), 'SELECT 1': one }, { requestTimeout: 50 });
    await expect(client.ask('working')).rejects.toMatchObject({ code: 'ETIMEOUT' });
    expect(await client.ask('SELECT 1')).toMatchObject({ rows: [[1]] });
  });

  it('that gets but one of its two answers costs the connection', async () => {
    const { client, tds } = await pair({ working: working() }, { cancelTimeout: 100 });
    tds.fault({ on: ({ sql }) => sql === 'working', attention: 'second' });
    const { outcome } = client.start('working');
    await expect.poll(() => tds.connections[0]!.isBusy).toBe(true);
    client.connection.cancel();
    await expect(outcome).rejects.toBeDefined();
    await expect.poll(() => client.connection.closed).toBe(true);
  });

  it('that gets no answer costs it too', async () => {
    const { client, tds } = await pair({ working: working() }, { cancelTimeout: 100 });
    tds.fault({ on: ({ sql }) => sql === 'working', attention: 'none' });
    const { outcome } = client.start('working');
    await expect.poll(() => tds.connections[0]!.isBusy).toBe(true);
    client.connection.cancel();
    await expect(outcome).rejects.toBeDefined();
    await expect.poll(() => client.connection.closed).toBe(true);
  });

  it('of a request that is not sent whole is answered once', async () => {
    const { client, tds } = await pair({ 'SELECT 1': one });
    const { request, outcome } = client.start('x'.repeat(1_000_000));
    request.cancel();
    await expect(outcome).rejects.toMatchObject({ code: 'ECANCEL' });
    expect(await client.ask('SELECT 1')).toMatchObject({ rows: [[1]] });
    expect(tds.breaches).toEqual([]);
  });
});

describe('a reader that pauses', () => {
  it('makes the server wait, and gets every row', async () => {
    const seen = { rows: 0, waits: 0 };
    const { client, tds } = await pair({ rows: rows(50_000, seen) });
    const { request, outcome } = client.start('rows');
    await once(request, 'row');
    request.pause();
    await expect.poll(() => tds.connections[0]!.isFull, { timeout: 10_000 }).toBe(true);
    const stood = seen.rows;
    expect(stood).toBeLessThan(50_000);
    request.resume();
    const { rows: got } = await outcome;
    expect(got).toHaveLength(50_000);
    expect(got.every(([id], index) => id === String(index))).toBe(true);
    expect(seen.waits).toBeGreaterThan(0);
  });
});

describe('packets', () => {
  it.each([1, 2, 7, 100, 4096, 32_000])('of %d bytes carry all answers whole', async packetBytes => {
    const { client } = await pair({ rows: rows(20), 'SELECT 1': one }, {}, { packetBytes });
    await client.begin();
    const { rows: got } = await client.ask('rows');
    expect(got.map(([id]) => id)).toEqual(Array.from({ length: 20 }, (_, index) => String(index)));
    await client.commit();
    await client.reset();
    await expect(client.ask('no')).rejects.toMatchObject({ number: 50_000 });
    expect(await client.ask('SELECT 1')).toMatchObject({ rows: [[1]] });
  });
});

describe('a fault', () => {
  const hasEnded = (text: string) => ({ on: ({ sql }: { readonly sql: string }) => sql === text });

  it('cuts an answer at every byte, and no row comes that was not whole', async () => {
    const { tds, client } = await pair({ rows: rows(3) });
    const watch = tds.fault(hasEnded('rows'));
    await client.ask('rows');
    const whole = watch.bytes;
    expect(whole).toBeGreaterThan(1000);
    for (let at = 0; at < whole; at += 97) {
      const again = await tdsClient(tds);
      const cut = tds.fault({ ...hasEnded('rows'), breaks: { at, by: 'end' } });
      const { request, outcome } = again.start('rows');
      const got: unknown[] = [];
      request.on('row', row => got.push(row));
      await expect(outcome, `at ${at}`).rejects.toMatchObject({ code: 'ECONNRESET' });
      expect(got.length).toBeLessThanOrEqual(3);
      expect([cut.hits, cut.bytes]).toEqual([1, whole]);
      cut.remove();
    }
    const last = await tdsClient(tds);
    tds.fault({ ...hasEnded('rows'), breaks: { at: whole, by: 'end' } });
    expect(await last.ask('rows')).toMatchObject({ count: 3 });
    await expect.poll(() => last.connection.closed).toBe(true);
  });

  it.each(['end', 'reset', 'stall'] as const)('by %s reaches a handler that would write for ever', async by => {
    const seen = { rows: 0, waits: 0, ended: undefined as unknown };
    const { tds, client } = await pair({ rows: rows(Number.POSITIVE_INFINITY, seen) });
    tds.fault({ ...hasEnded('rows'), breaks: { at: 50_000, by } });
    const { request, outcome } = client.start('rows');
    await once(request, 'row');
    if (by === 'stall') client.connection.close();
    await expect(outcome).rejects.toBeDefined();
    await expect.poll(() => seen.ended).toMatchObject({ message: 'the client is gone' });
    expect(tds.connections).toEqual([]);
  });

  it('hits the n-th of those it means, so many times', async () => {
    const { tds, client } = await pair({ 'SELECT 1': one, other: one });
    const watch = tds.fault({ ...hasEnded('SELECT 1'), nth: 2, times: 2, error: errors.deadlock(51) });
    const codes: unknown[] = [];
    for (const sql of ['SELECT 1', 'other', 'SELECT 1', 'other', 'SELECT 1', 'SELECT 1'])
      codes.push(
        await client.ask(sql).then(
          ({ count }) => count,
          error => error.number,
        ),
      );
    expect(codes).toEqual([1, 1, 1205, 1, 1205, 1]);
    expect([watch.seen, watch.hits]).toEqual([4, 2]);
  });

  it('may be in place of the request, or after it', async () => {
    const handlers: Scripted[] = [];
    const tds = await tdsServer({
      open: session => {
        handlers.push(new Scripted(session));
        return handlers.at(-1)!;
      },
    });
    const client = await tdsClient(tds);
    await client.begin();
    tds.fault({ on: ({ kind }) => kind === 'commit', breaks: { at: 0, by: 'reset' } });
    await expect(client.commit()).rejects.toBeDefined();
    expect(handlers[0]!.asked.at(-1)).toBe('commit');
    const second = await tdsClient(tds);
    await second.begin();
    tds.fault({ on: ({ kind }) => kind === 'commit', before: 'end' });
    await expect(second.commit()).rejects.toBeDefined();
    expect(handlers[1]!.asked).not.toContain('commit');
    await expect.poll(() => handlers.map(({ isClosed }) => isClosed)).toEqual([true, true]);
  });

  it('delays, or lets a client wait for ever', async () => {
    const { tds, client } = await pair({ 'SELECT 1': one }, { requestTimeout: 300, cancelTimeout: 200 });
    tds.fault({ ...hasEnded('SELECT 1'), delayMs: 100 });
    const from = performance.now();
    await client.ask('SELECT 1');
    expect(performance.now() - from).toBeGreaterThan(95);
    tds.fault({ ...hasEnded('SELECT 1'), delayMs: 60_000 });
    await expect(client.ask('SELECT 1')).rejects.toMatchObject({ code: 'ETIMEOUT' });
    await client.ask('SELECT 1');
    tds.fault({ ...hasEnded('SELECT 1'), before: 'stall' });
    await expect(client.ask('SELECT 1')).rejects.toBeDefined();
    await expect.poll(() => client.connection.closed).toBe(true);
  });

  it('may stand in the middle of a row', async () => {
    const { tds, client } = await pair(
      { rows: rows(30) },
      { requestTimeout: 5000, cancelTimeout: 100 },
      { packetBytes: 100 },
    );
    tds.fault({ ...hasEnded('rows'), breaks: { at: 2000, by: 'stall' } });
    const { request, outcome } = client.start('rows');
    const late = Promise.withResolvers<void>();
    request.once('row', () => late.resolve());
    await late.promise;
    // The time-out of tedious was over with the first packet.
    client.connection.cancel();
    await expect(outcome).rejects.toBeDefined();
  });

  it('may meet a connection before it has a login', async () => {
    const { tds } = await pair({});
    tds.fault({ on: ({ kind }) => kind === 'login', breaks: { at: 100, by: 'end' } });
    await expect(tdsClient(tds)).rejects.toBeDefined();
    tds.fault({ on: ({ kind }) => kind === 'prelogin', before: 'reset' });
    await expect(tdsClient(tds)).rejects.toBeDefined();
    tds.fault({ on: ({ kind }) => kind === 'prelogin', before: 'stall' });
    await expect(tdsClient(tds, { connectTimeout: 200 })).rejects.toMatchObject({ code: 'ETIMEOUT' });
    tds.fault({ on: ({ kind }) => kind === 'login', error: errors.unavailable('shop'), times: 2 });
    await tdsClient(tds, { connectionRetryInterval: 1 });
  });

  it('kills all, and what comes back has the same port', async () => {
    const { tds, client } = await pair({ 'SELECT 1': one });
    const { port } = tds;
    tds.kill();
    await expect.poll(() => client.connection.closed).toBe(true);
    await expect(tdsClient(tds)).rejects.toMatchObject({ code: 'ESOCKET' });
    await tds.listen();
    expect(tds.port).toBe(port);
    expect(await (await tdsClient(tds)).ask('SELECT 1')).toMatchObject({ count: 1 });
  });
});
