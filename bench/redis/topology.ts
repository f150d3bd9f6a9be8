/** The redis I/O actor with its defaults, and on each host a handler that asks it. */
import { type RedisClient, redis } from '../../actors/redis/index.ts';
import { defineActor, defineTopology } from '../../runtime/index.ts';
import { type AskList, askAll, KEYS, keyOf, type Load, seededAt, writtenBy } from './load.ts';

/** Without a load: which host is it? */
export interface Driving {
  readonly place: number;
  readonly load?: Load;
  readonly callers?: readonly number[];
}

export interface Driven {
  readonly host: number;
  readonly right: number;
}

const drive = defineActor<Driving, Driven>({
  key: ({ place }) => place,
  async handle({ load, callers = [] }, ctx) {
    if (!load) return { host: ctx.host, right: 0 };
    const askList = listsOf(ctx.io<RedisClient>('redis'));
    const right = await Promise.all(callers.map(caller => askAll(askList, load, caller)));
    return { host: ctx.host, right: right.reduce((sum, one) => sum + one, 0) };
  },
});

function listsOf(client: RedisClient): AskList {
  return async ({ what, depth }, caller, from) => {
    const asked: Promise<unknown>[] = [];
    for (let n = from; n < from + depth; n++)
      if (what === 'get') asked.push(client.get(keyOf(caller, n)));
      else if (what === 'set') asked.push(client.set(keyOf(caller, n), writtenBy(caller, n)));
      else asked.push(client.setVersioned(keyOf(caller, n), writtenBy(caller, n), { epoch: 1, n: n + 1 }));
    const replies = await Promise.all(asked);
    let right = 0;
    replies.forEach((reply, i) => {
      if (
        what === 'get'
          ? reply === seededAt(caller, (from + i) % KEYS)
          : what === 'set'
            ? reply === true
            : isNewer(reply)
      )
        right++;
    });
    return right;
  };
}

const isNewer = (reply: unknown): boolean => (reply as { outcome: string }).outcome === 'newer';

export default defineTopology({
  module: import.meta.url,
  name: 'bench-redis',
  io: { redis: redis({ url: 'memory:' }) },
  actors: { drive },
});
