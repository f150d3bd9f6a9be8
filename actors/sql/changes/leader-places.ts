/**
 * Where leases are kept, with the positions of those that hold them: in the database whose tables are read, or in a Redis.
 *
 * In the database one transaction writes lease, mark and bookmark, so a restore takes all of them back together; it is seen by
 * the fork of the recovery, and by replicas that live on and saw a later mark. A Redis lives apart: a mark there that is beyond
 * the bookmark in the database tells of a restore also when all replicas were down.
 */
import { KeymillError } from '../../../runtime/index.ts';
import type { RedisClient } from '../../redis/contract.ts';
import type { SqlDriver } from '../driver.ts';
import type { LeasePlace } from './leader.ts';

/** `name` is that of the lease: the same in all replicas, of nobody else. */
export function inDatabase(driver: Pick<SqlDriver, 'leases' | 'setBookmark'>, name: string): LeasePlace {
  const { leases } = driver;
  return {
    at: `${name} in the database`,
    take: (owner, leaseMs) => leases.take(name, owner, leaseMs),
    renew: (token, leaseMs) => leases.renew(name, token, leaseMs),
    release: token => leases.release(name, token),
    async keep(token, bookmark, { mark }) {
      await driver.setBookmark(bookmark, { lease: name, token, ...(mark === undefined ? {} : { mark }) });
    },
  };
}

/** Bookmarks stay in the database, where the highest token of a lease is remembered, and they are fenced by it. */
export function inRedis(
  redis: Pick<RedisClient, 'acquire' | 'renew' | 'release' | 'getVersioned' | 'setVersioned'>,
  io: string,
  driver: Pick<SqlDriver, 'leases' | 'setBookmark'>,
  name: string,
): LeasePlace {
  // One step writes the mark and looks at the lease: in a cluster both must be in one slot.
  const lease = `keymill:leader:{${encodeURIComponent(name)}}`;
  const markAt = `${lease}:mark`;
  const markNow = async (): Promise<string | null> => {
    const found = await redis.getVersioned(markAt);
    return found && String(found.value);
  };
  const setMark = async (token: number, mark: string): Promise<void> => {
    const { epoch, version } = JSON.parse(mark) as { epoch: number; version: number };
    const { outcome } = await redis.setVersioned(
      markAt,
      mark,
      { epoch, n: version },
      { ttlMs: 0, fence: { lease, token } },
    );
    if (outcome === 'older')
      throw new KeymillError('SQL_FENCED', `${name}: a later position is kept in ${io} than that of token ${token}`);
  };
  return {
    at: `${name} in ${io}`,
    async take(owner, leaseMs) {
      const taken = await redis.acquire(lease, owner, leaseMs);
      // Before anything is read: from now on a former leader changes nothing there, no bookmark and no epoch.
      if (taken) await driver.leases.see(name, taken.token);
      const mark = await markNow();
      return { isMine: taken !== null, token: taken?.token ?? 0, owner: taken && owner, leftMs: null, mark };
    },
    renew: (token, leaseMs) => redis.renew({ name: lease, token, ttlMs: leaseMs }),
    async release(token) {
      await redis.release({ name: lease, token, ttlMs: 0 });
    },
    async keep(token, bookmark, { mark, isTakeOver }) {
      const keepBookmark = (): Promise<void> => driver.setBookmark(bookmark, { lease: name, token });
      // What comes second may be cut off: a mark that tells the former epoch goes with the bookmark of that (position.ts).
      if (!isTakeOver) await keepBookmark();
      if (mark !== undefined) await setMark(token, mark);
      if (isTakeOver) await keepBookmark();
    },
  };
}
