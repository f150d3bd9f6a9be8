/** A replica of a source with `leader`, for tests: it can be frozen, woken, and deceived about the time. */
import { clientOf as redisClientOf } from '../../actors/redis/client.ts';
import type { ChangeRecord } from '../../actors/sql/contract.ts';
import type { Leases, SqlDriver } from '../../actors/sql/driver.ts';
import { type Environment, type IoResource, KeymillError, type SourceHalf } from '../../runtime/index.ts';
import { Reading } from '../contract/sql.ts';
import type { LeaderShop } from './leader-shops.ts';
import { contextOf, environment as real } from './support.ts';

export const LEASE = 250;
export type In = 'database' | { redis: string };

/** What all replicas of a test share. */
export interface Site {
  readonly shop: LeaderShop;
  /** A Redis. */
  readonly store: IoResource;
  readonly folder: string;
}

/** As in a process of its own: a driver, a resource and a clock. */
export class Replica {
  readonly logged: { level: string; fields: Record<string, unknown>; text: string }[] = [];
  readonly reading: Reading;
  readonly #resource: IoResource;
  readonly #driver: SqlDriver;
  /** The time that its clock shows from now on. */
  #stoodAt: number | null = null;
  #isFrozen = false;
  #held: (() => void)[] = [];

  constructor({ shop, store, folder }: Site, name: string, where: In, more: Record<string, unknown> = {}) {
    const environment: Environment = {
      ...real,
      clock: {
        wall: () => real.clock.wall(),
        now: () => this.#stoodAt ?? real.clock.now(),
        after: (ms, fn) => {
          let isCancelled = false;
          const act = (): void => {
            if (!isCancelled) fn();
          };
          const timer = real.clock.after(ms, () => (this.#isFrozen ? void this.#held.push(act) : act()));
          return {
            cancel() {
              isCancelled = true;
              timer.cancel();
            },
          };
        },
      },
    };
    const say = (level: string) => (fields: Record<string, unknown>, text: string) =>
      void this.logged.push({ level, fields, text });
    const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
    const driver = shop.driver(environment, log);
    const { leases } = driver;
    const unlessDeceived = <T>(ask: () => Promise<T>): Promise<T> =>
      this.#stoodAt === null ? ask() : new Promise(() => undefined);
    const held: Leases = { ...leases, renew: (...asked) => unlessDeceived(() => leases.renew(...asked)) };
    Object.assign(driver, { leases: held });
    const client = redisClientOf(async op => {
      const [reply] = await store.handleBatch([op], new AbortController().signal);
      if ('error' in reply!) throw reply.error;
      return reply!.value;
    });
    const renew = client.renew.bind(client);
    client.renew = lease => unlessDeceived(() => renew(lease));
    const io = <C>(): C => client as C;
    this.#driver = driver;
    this.#resource = shop.resource(driver, { ...contextOf(folder), environment, log, io });
    const leader = { leaseMs: LEASE, in: where, owner: name };
    const read = { table: 't', track: true, pollMs: { min: 1, max: 5 }, leader, ...more };
    this.reading = new Reading(this.#resource.source!(read) as SourceHalf<ChangeRecord>);
  }

  breakBookmarks(): void {
    const setBookmark = (): Promise<void> => Promise.reject(new KeymillError('SQL_UNAVAILABLE', 'locked by a test'));
    Object.assign(this.#driver, { setBookmark });
  }

  breakReading(): void {
    Object.assign(this.#driver, { changes: () => Promise.reject(new KeymillError('SQL_FAILED', 'broken by a test')) });
  }

  get leads(): boolean {
    return this.reading.half.waiting?.() === undefined;
  }

  /** Does nothing any more, as if it were killed. */
  freeze(): void {
    this.#isFrozen = true;
  }

  thaw(): void {
    this.#isFrozen = false;
    for (const fn of this.#held.splice(0)) fn();
  }

  /** Its clock stands still, and its lease is not renewed: it goes on reading, and cannot know better. */
  deceive(): void {
    this.#stoodAt = real.clock.now();
  }

  undeceive(): void {
    this.#stoodAt = null;
  }

  says(text: string): number {
    return this.logged.filter(one => one.text.includes(text)).length;
  }

  async stop(): Promise<void> {
    await this.reading.stop();
  }

  async close(): Promise<void> {
    this.thaw();
    await this.reading.stop();
    await this.#resource.close();
  }
}
