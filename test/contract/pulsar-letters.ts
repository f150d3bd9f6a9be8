/** Part of what every driver of the `pulsar` I/O actor gives through its client: retry letters, and handlers that fail. */
import { describe, expect, test } from 'vitest';
import type { ConsumeOptions, Delivery, PulsarClient } from '../../actors/pulsar/index.ts';
import { ClassifiedError } from '../../runtime/index.ts';
import { errorFrom } from '../support/runtimes.ts';

/** A client, until the test ends. Topics of a test begin with `topic`, which no other has. */
export type OpenClient = () => Promise<{ readonly client: PulsarClient; readonly topic: string }>;

export function lettersContract(name: string, open: OpenClient): void {
  const SHARED = { subscription: 's', type: 'Shared', initialPosition: 'Earliest' } as const;
  const backlogOf = async (client: PulsarClient, topic: string): Promise<number> =>
    (await client.stats(topic)).subscriptions['s']!.backlog;
  const all = async (client: PulsarClient, topic: string): Promise<Delivery[]> => {
    const found: Delivery[] = [];
    for await (const one of client.read({ topic, from: 'earliest' })) found.push(one);
    return found;
  };

  describe(`${name}: retry letters`, () => {
    test('come again by a topic of their own, and after maxRedeliver are dead', async () => {
      const { client, topic } = await open();
      const id = await client.publish(topic, { payload: 'bad', key: 'k', eventTime: 7, properties: { x: '1' } });
      await client.publish(topic, { payload: 'good' });
      const options: ConsumeOptions = { ...SHARED, topic, retryLetter: { maxRedeliver: 2, delayMs: 50 } };
      const seen: (string | undefined)[] = [];
      let origin: Delivery | undefined;
      for await (const one of client.consume(options)) {
        if (one.text() === 'good') continue;
        seen.push(one.properties['RECONSUMETIMES']);
        origin ??= one;
        await one.retryLater(one === origin ? undefined : 1);
        if (seen.length < 3) continue;
        expect(one).toMatchObject({ key: 'k', eventTime: 7, properties: { x: '1', ORIGIN_MESSAGE_ID: id } });
        expect(one.properties['REAL_TOPIC']).toBe(origin.topic);
        expect(one.topic).toBe(`${origin.topic}-s-RETRY`);
        break;
      }
      expect(seen).toEqual([undefined, '1', '2']);
      const dead = await all(client, `${topic}-s-DLQ`);
      expect(dead.map(one => [one.text(), one.key, one.properties['ORIGIN_MESSAGE_ID']])).toEqual([['bad', 'k', id]]);
      await expect.poll(() => backlogOf(client, topic)).toBe(0);
    });

    test('are for Shared subscriptions, which keep no order, and must be asked for', async () => {
      const { client, topic } = await open();
      await client.publish(topic, { payload: '1' });
      for (const type of ['Exclusive', 'Failover', 'Key_Shared'] as const) {
        const refused = client.subscribe({ ...SHARED, type, topic, retryLetter: {} }, () => undefined);
        expect(await errorFrom(refused)).toMatchObject({ code: 'ACK_REFUSED' });
      }
      for await (const one of client.consume({ ...SHARED, topic })) {
        expect(await errorFrom(one.retryLater())).toMatchObject({ code: 'ACK_REFUSED' });
        break;
      }
      expect(await backlogOf(client, topic)).toBe(1);
    });
  });

  describe(`${name}: a handler`, () => {
    test('is called again for what it could not do, and acknowledges what it did', async () => {
      const { client, topic } = await open();
      await client.publishBatch(topic, [{ payload: '1' }, { payload: '2' }, { payload: '3' }]);
      const calls: string[] = [];
      const done = client.subscribe({ ...SHARED, type: 'Exclusive', topic, attempts: 2 }, one => {
        calls.push(one.text());
        if (calls.length === 2) throw new Error('once');
        if (one.text() === '3') throw new ClassifiedError('fatal', 'never');
      });
      await expect(done).rejects.toThrow('never');
      expect(calls).toEqual(['1', '2', '2', '3']);
      await expect.poll(() => backlogOf(client, topic)).toBe(1);
    });

    test('sends what it cannot do to retry, what is fatal to the dead letters, and ends with its signal', async () => {
      const { client, topic } = await open();
      await client.publishBatch(topic, [{ payload: 'fatal' }, { payload: 'later' }]);
      const stop = new AbortController();
      const calls: string[] = [];
      const options = { ...SHARED, topic, retryLetter: { delayMs: 1 }, signal: stop.signal };
      await client.subscribe(options, one => {
        calls.push(one.text());
        if (one.text() === 'fatal') throw new ClassifiedError('fatal', 'never');
        if (calls.length < 3) throw new Error('not now');
        stop.abort();
      });
      expect(calls).toEqual(['fatal', 'later', 'later']);
      expect((await all(client, `${topic}-s-DLQ`)).map(one => one.text())).toEqual(['fatal']);
    });
  });
}
