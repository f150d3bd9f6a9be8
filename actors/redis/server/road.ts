/** How batches get to the servers: over one connection (pipe.ts) or into the slots of a cluster (lanes.ts). */
import type { Environment, Log } from '../../../runtime/index.ts';
import type { Batch, BatchReply } from './batch.ts';
import type { Connector } from './connector.ts';
import type { Epochs } from './epochs.ts';
import type { Packed } from './marks.ts';
import type { Names } from './names.ts';
import type { Scripts } from './scripts.ts';
import type { ServerMeters } from './server-meters.ts';

/** Of a command, as far as it is ours. */
export interface Node {
  /** Unlike other nodes'. */
  readonly name: string;
  call(command: string, ...args: readonly Packed[]): Promise<unknown>;
}

export interface Road {
  /** Done once, in the order of their coming as far as they are of one slot; settles when the outcome is known. */
  submit(batch: Batch): void;
  /** Its time is over and there is no outcome. */
  overdue(batch: Batch): void;
  /** Why there is no connection; null where there is one. */
  readonly fault: unknown;
  /** Masters there are now. Waits for a connection as long as a command may take, and throws why there is none. */
  nodes(): Promise<readonly Node[]>;
  epoch(): Promise<number>;
  probe(): Promise<void>;
  close(): Promise<void>;
}

export interface RoadNeeds {
  readonly connector: Connector;
  readonly names: Names;
  readonly scripts: Scripts;
  readonly epochs: Epochs;
  readonly meters: ServerMeters;
  readonly environment: Environment;
  readonly log: Log;
  /** Unlike that of any other driver. */
  readonly driver: string;
  readonly versionsMs: number;
  readonly commandTimeoutMs: number;
}

/** A server remembers a batch for so long: longer than anybody asks for it again. */
const REMEMBERED_MS = '300000';
/** A batch that nobody waits for is given up after this. */
export const WANTED_MS = 30_000;
/** What closing waits for. */
export const CLOSING_MS = 1000;
/** Before another attempt, growing. */
export const PAUSES: { readonly firstMs: number; readonly mostMs: number } = { firstMs: 50, mostMs: 1000 };

/** Arguments of the script. `window`: how many batches of a slot may be under way. */
export function argumentsOf(batch: Batch, { names, epochs, driver, versionsMs }: RoadNeeds, window: number): Packed[] {
  const isCluster = window === 1;
  const memory = names.memory(batch.slot, driver, batch.number % window);
  const { keys, args, needsVersions, needsEpoch, number } = batch;
  const versions = needsVersions ? keys.map(key => names.version(key)) : [];
  return [
    String(2 + keys.length + versions.length),
    memory,
    needsEpoch && !isCluster ? names.epoch : memory,
    ...keys,
    ...versions,
    String(number),
    REMEMBERED_MS,
    String(epochs.epoch),
    String(epochs.first),
    needsEpoch ? epochs.masters : '',
    needsEpoch ? '1' : '0',
    String(versionsMs),
    String(keys.length),
    ...args,
  ];
}

export function isGivenUp(batch: Batch, now: number): boolean {
  return batch.waiting === 0 && now - batch.wantedAt > WANTED_MS;
}

/** The master that the epoch is not known to be made for; null where the error is another. */
export function staleIn(error: unknown): string | null {
  return /KEYMILL_STALE (\w+)/.exec((error as Error).message)?.[1] ?? null;
}

export function isDemoted([, failures]: BatchReply): boolean {
  return failures.some(one => typeof one !== 'number' && one.toString('latin1', 0, 8) === 'READONLY');
}
