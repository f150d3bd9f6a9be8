/**
 * The source half: what is published on a channel, or on those of a pattern, from the start of the reading on, as
 * `{ channel, message }`. What was given is gone, so it is not replayable; its position is its number. Messages that were
 * lost because the topology was too slow to take them are a warning in the log, with their number.
 */
import type { IoContext, SourceHalf, SourceRecord, SourceTraits } from '../../runtime/index.ts';
import type { RedisDriver } from './driver.ts';
import type { Hub } from './hub.ts';
import type { DataOp } from './ops.ts';
import { parseRead } from './options.ts';

export const TRAITS: SourceTraits = { replayable: false, ordered: true, contiguous: false };

/** Throws CONFIG_INVALID. */
export function redisSource(
  driver: RedisDriver,
  hub: Hub,
  { name, log }: IoContext,
  said: Record<string, unknown>,
): SourceHalf {
  const what = parseRead(said, `read of ${name}`);
  const finishing = new AbortController();
  const run = async (op: DataOp, signal: AbortSignal): Promise<unknown> => {
    const [reply] = await driver.run([op], signal);
    if ('error' in reply!) throw reply.error;
    return reply!.value;
  };
  return {
    traits: TRAITS,
    async *read(from, signal) {
      const end = AbortSignal.any([signal, finishing.signal]);
      let position = from;
      let seq = 0;
      let id = (await run({ op: 'subscribe', what }, signal)) as string;
      try {
        while (!signal.aborted) {
          const isLast = finishing.signal.aborted;
          const reply = await hub.poll(id, seq, end);
          if (reply === null) {
            if (hub.isClosed) return;
            id = (await run({ op: 'subscribe', what }, signal)) as string;
            seq = 0;
            log.warn(
              { ...what },
              'the source stood still for so long that its subscription had ended; some may be lost',
            );
            continue;
          }
          seq = reply.seq;
          const records: SourceRecord[] = [];
          for (const one of reply.heard) {
            if ('lost' in one)
              log.warn(
                { ...what, lost: one.lost },
                one.lost === 'unknown'
                  ? 'messages may be lost: the connection was'
                  : 'messages were lost: the source was not read in time',
              );
            else records.push({ position: position++, value: one });
          }
          if (records.length > 0) yield records;
          if (isLast && reply.heard.length === 0) return;
        }
      } finally {
        if (!hub.isClosed) await run({ op: 'unsubscribe', id }, signal);
      }
    },
    finish: () => finishing.abort(),
  };
}
