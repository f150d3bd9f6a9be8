/**
 * One mailbox per row: merges each change into the versioned cache, tells subscribers at once over pub/sub, and publishes it
 * durably (Y1). Every step bears being done twice. What is older than the cache holds was published before the newer one
 * was, by the order of the row, so it is left out, and counted as `conflict` (ctx.observe): the versions of a row only rise
 * on the topic, repeats aside.
 */
import { type Actor, type Context, compareVersions, defineActor, KeymillError } from '../../runtime/index.ts';
import type { PulsarClient } from '../pulsar/contract.ts';
import type { Fields, RedisClient } from '../redis/contract.ts';
import type { ChangeItem, ChangeRecord, ResyncEvent } from '../sql/contract.ts';
import { type DataChanged, dataChannel, rowOf } from './data-manager.ts';
import { type DataSyncMessage, encodeRow, encodeValue, recordIdOf } from './message.ts';
import { patchBetween } from './patches.ts';

export const DATA_TOPIC = 'data-sync-topic';
export const CONTROL_TOPIC = 'data-sync-control-topic';

export interface SyncOptions {
  /** Names of the I/O actors. */
  readonly redis?: string | undefined;
  readonly pulsar?: string | undefined;
  /** Name of the actor made by `syncResync`. */
  readonly resync?: string | undefined;
  readonly topic?: string | undefined;
  readonly controlTopic?: string | undefined;
  /** Begins the cache keys: PREFIX TABLE ':' ID. */
  readonly prefix?: string | undefined;
  /** Publishes a JSON patch of each change for data managers too (Y3). Default false: it reads the row as it was before. */
  readonly patches?: boolean | undefined;
  /** Life of a cached row in ms; the driver's (7 days) by default, 0 for ever. */
  readonly ttlMs?: number | undefined;
}

export interface SyncNames {
  readonly redis: string;
  readonly pulsar: string;
  readonly resync: string;
  readonly topic: string;
  readonly controlTopic: string;
  readonly prefix: string;
  readonly patches: boolean;
  readonly ttlMs: number | undefined;
}

export function namesOf(options: SyncOptions): SyncNames {
  return {
    redis: options.redis ?? 'redis',
    pulsar: options.pulsar ?? 'pulsar',
    resync: options.resync ?? 'resync',
    topic: options.topic ?? DATA_TOPIC,
    controlTopic: options.controlTopic ?? CONTROL_TOPIC,
    prefix: options.prefix ?? 'sync:',
    patches: options.patches ?? false,
    ttlMs: options.ttlMs,
  };
}

export function cacheKey({ prefix }: Pick<SyncNames, 'prefix'>, table: string, recordId: string): string {
  return `${prefix}${table}:${recordId}`;
}

/** The channel on which changes of a table are told at once. */
export function tableChannel(table: string): string {
  return `data-sync:${table}`;
}

/** Makes the actor that changes of tables go to, and their resync events: `sources: { orders: { from: 'sql', to: 'rows' } }`. */
export function syncRows(options: SyncOptions = {}): Actor<ChangeRecord, void> {
  const names = namesOf(options);
  return defineActor<ChangeRecord, void>({
    key: record => (isEvent(record) ? record.table : `${record.table}/${recordIdOf(record.pk)}`),
    async handle(record, ctx) {
      if (isEvent(record)) ctx.send<ResyncEvent>(names.resync, record);
      else await syncRow(record, names, ctx as Context);
    },
  });
}

export function isEvent(record: ChangeRecord): record is ResyncEvent {
  return record.operation === 'RESYNC_BEGIN' || record.operation === 'RESYNC_END';
}

async function syncRow(change: ChangeItem, names: SyncNames, ctx: Context): Promise<void> {
  const { table, versionId, epoch, data } = change;
  const message = messageOf(change);
  const { recordId } = message;
  const json = JSON.stringify(message);
  const version = { epoch, n: versionId };
  const redis = ctx.io<RedisClient>(names.redis);
  const key = cacheKey(names, table, recordId);
  // Asks for one key keep their order: this is the row as it was before, and one round trip does for both.
  const reading = names.patches ? redis.getFields(key) : null;
  const merging = redis.merge({
    key,
    version,
    ...(data === null
      ? { isGone: true }
      : {
          isWhole: true,
          fields: Object.fromEntries(
            Object.entries(data).map(([name, value]) => [name, JSON.stringify(encodeValue(value))]),
          ),
        }),
    ttlMs: names.ttlMs,
    publish: { channel: tableChannel(table), message: json },
  });
  const [before, merged] = await Promise.all([reading, merging]);
  // Fields that the newer change did not have may have been written all the same.
  if (compareVersions(version, merged.version) < 0) {
    ctx.log.debug({ table, recordId, version, held: merged.version }, 'older than what the cache holds: left out');
    ctx.observe('conflict', Date.now() - change.captureTime);
    return;
  }
  if (names.patches) await redis.publish(dataChannel(table, recordId), JSON.stringify(patchOf(message, before)));
  await ctx.io<PulsarClient>(names.pulsar).publish(names.topic, {
    key: `${table}/${recordId}`,
    payload: json,
    eventTime: Math.round(change.captureTime),
    properties: { type: 'data-sync', table, version: `${epoch}.${versionId}` },
  });
  ctx.observe('published', Date.now() - change.captureTime);
}

/** Where the same change was merged before, the patch is empty and begins at itself: who missed it reads the row again. */
function patchOf(message: DataSyncMessage, before: Fields | null): DataChanged {
  const stood = before !== null && !before.isGone ? before : null;
  return {
    versionId: message.changeVersion,
    epoch: message.epoch,
    base: stood?.version ?? null,
    patchItems: patchBetween(stood && rowOf(stood), message.delta),
    changeTime: message.timestamp,
  };
}

export function messageOf(change: ChangeItem): DataSyncMessage {
  if (change.operation !== 'DELETE' && change.data === null)
    throw new KeymillError('RECORD_BROKEN', `a change of ${change.table} without its row`, { class: 'fatal' });
  return {
    tableName: change.table,
    operation: change.operation,
    changeVersion: change.versionId,
    epoch: change.epoch,
    recordId: recordIdOf(change.pk),
    pk: encodeRow(change.pk),
    delta: change.data && encodeRow(change.data),
    changed: change.changed,
    timestamp: change.captureTime,
    ...(change.isResync ? { isResync: true as const } : {}),
  };
}
