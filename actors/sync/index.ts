/** Sync: tables, a versioned cache and subscribers kept in step (Y1 to Y4). */
export { type Contents, contentsOfCache, contentsOfTables } from './checksum.ts';
export { type DataChanged, type DataIsChanged, DataManager, dataChannel } from './data-manager.ts';
export { type DataSyncMessage, decodeRow, encodeRow, type ResyncMessage, recordIdOf } from './message.ts';
export type { PatchItem } from './patches.ts';
export { applyReplica, type ReplicaOptions } from './replica.ts';
export { syncResync } from './resync.ts';
export { CONTROL_TOPIC, DATA_TOPIC, type SyncOptions, syncRows, tableChannel } from './rows.ts';
