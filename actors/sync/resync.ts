/**
 * The end of a resync: what the cache still holds of an older epoch is gone from the table. Each such row gets a DELETE of
 * the new epoch through its own mailbox, so that it meets the row's changes in order. Its version is below any of that epoch,
 * so that it can never undo a row that the resync or a later change gave.
 */
import { type Actor, type Context, defineActor } from '../../runtime/index.ts';
import type { PulsarClient } from '../pulsar/contract.ts';
import type { RedisClient } from '../redis/contract.ts';
import type { ChangeItem, ChangeRecord, ResyncEvent, Row } from '../sql/contract.ts';
import { decodeValue, type ResyncMessage } from './message.ts';
import { namesOf, type SyncNames, type SyncOptions } from './rows.ts';

/** Below every version of its epoch. */
const BEFORE_ALL = -1;
/** Rows looked at and deleted at once. */
const AT_ONCE = 200;

/**
 * Makes the actor that resync events go to. `rows` is the name of the actor made by `syncRows`. It takes as long as the cache
 * is large, so it has no time-out.
 */
export function syncResync(options: SyncOptions & { readonly rows?: string } = {}): Actor<ResyncEvent, void> {
  const names = namesOf(options);
  const rows = options.rows ?? 'rows';
  return defineActor<ResyncEvent, void>({
    key: event => event.table,
    async handle(event, ctx) {
      const isEnd = event.operation === 'RESYNC_END';
      if (isEnd) await sweep(event, rows, names, ctx as Context);
      const message: ResyncMessage = {
        tableName: event.table,
        phase: isEnd ? 'end' : 'begin',
        reason: event.reason,
        triggeredAt: event.triggeredAt,
        lastKnownVersion: event.lastKnownVersion,
        epoch: event.epoch,
        changeVersion: event.versionId,
      };
      await ctx.io<PulsarClient>(names.pulsar).publish(names.controlTopic, {
        key: event.table,
        payload: JSON.stringify(message),
        properties: { type: 'resync' },
      });
    },
    options: { timeoutMs: 0 },
  });
}

async function sweep(event: ResyncEvent, rows: string, names: SyncNames, ctx: Context): Promise<void> {
  const redis = ctx.io<RedisClient>(names.redis);
  let held: string[] = [];
  const portion = async (): Promise<void> => {
    const all = await redis.getManyFields(held);
    const gone = all.filter(one => one !== null && !one.isGone && one.version.epoch < event.epoch);
    await Promise.all(
      gone.map(one => {
        const pk: Row = {};
        for (const name of event.key) pk[name] = decodeValue(JSON.parse(String(one!.fields[name])));
        return ctx.ask<ChangeRecord, void>(rows, deletionOf(event, pk));
      }),
    );
    held = [];
  };
  for await (const key of redis.scan(`${names.prefix}${event.table}:`)) {
    held.push(key);
    if (held.length === AT_ONCE) await portion();
  }
  if (held.length > 0) await portion();
}

function deletionOf({ table, epoch, triggeredAt }: ResyncEvent, pk: Row): ChangeItem {
  return {
    table,
    versionId: BEFORE_ALL,
    epoch,
    operation: 'DELETE',
    pk,
    data: null,
    changed: null,
    captureTime: triggeredAt,
    context: null,
    isResync: true,
  };
}
