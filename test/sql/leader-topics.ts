/**
 * Rule 14 to the subscribers: replicas that lead in turn publish the changes of a table to one topic, each message in the epoch
 * of its change. Whoever does not lead any more gets nothing onto the topic, however late it wakes.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { clientOf } from '../../actors/pulsar/client.ts';
import type { PulsarClient, PulsarDriver } from '../../actors/pulsar/contract.ts';
import { parseOptions } from '../../actors/pulsar/options.ts';
import { PulsarResource } from '../../actors/pulsar/resource.ts';
import { redis } from '../../actors/redis/index.ts';
import type { ChangeItem, ChangeRecord } from '../../actors/sql/contract.ts';
import type { IoResource } from '../../runtime/index.ts';
import { applied, isChange, waitFor } from '../contract/sql.ts';
import { asker } from '../pulsar/support.ts';
import { errorFrom } from '../support/runtimes.ts';
import { type LeaderShop, SHOPS } from './leader-shops.ts';
import { Replica } from './replica.ts';
import { contextOf } from './support.ts';

/** `open` gives clients of one bus; they end with the test. */
export function leaderTopics(name: string, open: () => () => PulsarDriver): void {
  describe(`leaders in turn publish to ${name}`, () => {
    let folder = '';
    let shop: LeaderShop;
    let store: IoResource;
    let connect: () => PulsarDriver;
    let topic = '';
    const all: Publishing[] = [];

    /** A replica with an I/O actor of its own for the topic. */
    class Publishing extends Replica {
      readonly client: PulsarClient;
      #published = 0;

      constructor(its: string) {
        super({ shop, store, folder }, its, 'database', { track: its === 'a' });
        const resource = new PulsarResource(connect(), parseOptions({ url: 'memory:' }, 'io.bus'), contextOf(folder));
        this.client = clientOf(asker(() => resource));
        all.push(this);
      }

      publish(change: ChangeRecord): Promise<unknown> {
        return this.client.publish(topic, { json: change, key: 't' }, { epoch: change.epoch });
      }

      /** All that it has read and not published. */
      async publishAll(): Promise<void> {
        const fresh = this.reading.records.slice(this.#published);
        this.#published += fresh.length;
        for (const change of fresh) await this.publish(change);
      }

      /** The last change it has read. */
      get last(): ChangeItem {
        return this.reading.records.findLast(isChange)!;
      }
    }

    beforeEach(async () => {
      folder = mkdtempSync(join(tmpdir(), 'keymill-topics-'));
      shop = await SHOPS[0]![1](folder);
      const spec = redis({ url: 'memory:' });
      store = await spec.open(spec.options, contextOf(folder));
      connect = open();
      topic = `t-${randomUUID()}`;
    });
    afterEach(async () => {
      for (const one of all.splice(0)) await one.close();
      await store.close();
      await shop.close();
      rmSync(folder, { recursive: true, force: true });
    });

    /** One leads and one stands by. */
    const two = async (): Promise<[Publishing, Publishing]> => {
      const a = new Publishing('a');
      await a.reading.until(records => records.some(one => one.operation === 'RESYNC_END'));
      await waitFor(() => shop.bookmark().version === shop.current());
      const b = new Publishing('b');
      await waitFor(() => b.says('stands by') === 1);
      return [a, b];
    };
    const onTopic = async (of: Publishing): Promise<ChangeRecord[]> => {
      const found: ChangeRecord[] = [];
      for await (const message of of.client.read({ topic, from: 'earliest' }))
        found.push(message.json() as ChangeRecord);
      return found;
    };
    /** `a` has read a change of its term and is frozen before it publishes it; `b` leads and publishes. */
    const overtaken = async (a: Publishing, b: Publishing): Promise<ChangeItem> => {
      a.reading.hold();
      await shop.exec("UPDATE t SET name = 'late' WHERE k = 2");
      await a.reading.until(() => a.reading.changes.length === 1);
      a.freeze();
      await shop.exec("UPDATE t SET name = 'newer' WHERE k = 2");
      await b.reading.until(records => records.length > 0);
      await b.publishAll();
      a.thaw();
      await waitFor(() => a.says('stands by') === 1);
      return a.last;
    };
    const refused = { code: 'PRODUCER_FENCED', class: 'fatal' };

    test('what a former leader publishes late is refused, and disturbs nobody; leading again, it publishes', async () => {
      const [a, b] = await two();
      await a.publishAll();
      const late = await overtaken(a, b);
      for (let tries = 0; tries < 3; tries++) {
        expect(await errorFrom(a.publish(late))).toMatchObject(refused);
        await shop.exec(`INSERT INTO t VALUES (${10 + tries}, 'of b')`);
        await b.reading.until(records => records.filter(isChange).some(one => one.pk['k'] === 10 + tries));
        await b.publishAll();
      }
      await waitFor(() => shop.bookmark().version === shop.current());
      await b.stop();
      await shop.exec("UPDATE t SET name = 'of a again' WHERE k = 1");
      await a.reading.until(() => a.last.epoch > b.last.epoch);
      await a.publish(a.last);
      expect(await errorFrom(b.publish(b.last))).toMatchObject(refused);
      expect(await errorFrom(a.publish(late))).toMatchObject(refused);
      const told = await onTopic(a);
      const epochs = told.map(one => one.epoch);
      expect(epochs).toEqual(epochs.toSorted((x, y) => x - y));
      expect(new Set(epochs).size).toBe(3);
      expect(applied(told)).toEqual(await shop.rows());
    });

    test('a former leader that had published nothing yet is refused too', async () => {
      const [a, b] = await two();
      const late = await overtaken(a, b);
      expect(await errorFrom(a.publish(late))).toMatchObject(refused);
      await shop.exec("INSERT INTO t VALUES (10, 'of b')");
      await b.reading.until(() => b.last.pk['k'] === 10);
      await b.publishAll();
      expect((await onTopic(b)).map(one => one.epoch)).toEqual(b.reading.records.map(() => b.last.epoch));
    });

    test('a replica that stands by and publishes nothing shuts nobody out', async () => {
      const [a] = await two();
      await a.publishAll();
      await shop.exec("INSERT INTO t VALUES (10, 'of a')");
      await a.reading.until(() => a.last.pk['k'] === 10);
      await a.publishAll();
      expect(applied(await onTopic(a))).toEqual(await shop.rows());
    });
  });
}
