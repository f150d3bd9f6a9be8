/**
 * The topic registry (P11): which topics a topology declares, with partitions and retention, and whether the bus has them so.
 * Partitions of a topic that is there are never changed: its keys would move to others, and lose their order
 * (reference/pulsar.md pitfall 26).
 */
import { isKeymillError, type TopicFinding } from '../../runtime/index.ts';
import type { PulsarDriver } from './contract.ts';
import type { TopicDeclaration } from './options.ts';
import { topicName } from './topic-name.ts';

/** The seed's convention: `{service}-{event-type}`, small letters and digits. */
const NAME = /^[a-z0-9]+(-[a-z0-9]+)+$/;

/** Messages a second, and the partitions that the seed gives so many: from the lowest to the highest (G2.6). */
const BY_RATE: readonly { readonly upTo: number; readonly least: number; readonly most: number }[] = [
  { upTo: 1000, least: 1, most: 2 },
  { upTo: 10_000, least: 4, most: 8 },
  { upTo: Number.POSITIVE_INFINITY, least: 8, most: 16 },
];

/** What only a server with an admin API has. */
export interface TopicAdmin {
  /** Null where the topic has none of its own. */
  retentionOf(topic: string): Promise<Retention | null>;
  setRetention(topic: string, retention: Retention): Promise<void>;
}

export interface Retention {
  readonly ms: number;
  readonly bytes: number;
}

/** Partitions of a topic that says its rate and no more. */
export function partitionsFor(rate: number): number {
  return BY_RATE.find(({ upTo }) => rate <= upTo)!.least;
}

/** What is wrong with a declaration by itself. */
export function declarationFault(topic: string, { partitions, rate }: TopicDeclaration): string | undefined {
  const { local } = topicName(topic);
  if (!NAME.test(local)) return `expected {service}-{event-type} in small letters, as in orders-created`;
  if (partitions === undefined || rate === undefined) return undefined;
  const { least, most } = BY_RATE.find(({ upTo }) => rate <= upTo)!;
  if (partitions >= least && partitions <= most) return undefined;
  return `${partitions} partitions for ${rate} messages/s: expected ${least} to ${most}`;
}

export interface Registry {
  readonly driver: PulsarDriver;
  /** Null: retention is that of the whole bus. */
  readonly admin: TopicAdmin | null;
  /** Undefined where there is no such topic; 0 without partitions. Must not make it. */
  partitionsOf(topic: string): Promise<number | undefined>;
}

export async function lookAt(
  topic: string,
  declaration: TopicDeclaration,
  apply: boolean,
  registry: Registry,
): Promise<TopicFinding> {
  const fault = declarationFault(topic, declaration);
  if (fault !== undefined) return { topic, state: 'wrong', what: fault };
  const { partitions = partitionsFor(declaration.rate ?? 0), retention } = declaration;
  const wanted = partitions <= 1 ? 0 : partitions;
  const found = await registry.partitionsOf(topic);
  if (found === undefined && !apply)
    return { topic, state: 'missing', what: `to be made with ${picture(wanted)}: keymill topics apply` };
  if (found === undefined) await registry.driver.createTopic(topic, wanted);
  else if (found !== wanted)
    return {
      topic,
      state: 'differs',
      what: `has ${picture(found)}, ${picture(wanted)} are declared. More would move keys to other partitions: publish to a new topic, or let it run empty and change it by hand`,
    };
  const change = await retentionChange(topic, retention, apply, registry.admin);
  if (change !== undefined && !apply) return { topic, state: 'differs', what: change };
  if (found === undefined) return { topic, state: 'made', what: picture(wanted) };
  return change === undefined
    ? { topic, state: 'fine', what: picture(wanted) }
    : { topic, state: 'changed', what: change };
}

/** What is different, and with `apply` was. */
async function retentionChange(
  topic: string,
  wanted: Retention | undefined,
  apply: boolean,
  admin: TopicAdmin | null,
): Promise<string | undefined> {
  if (wanted === undefined || admin === null) return undefined;
  const found = await admin.retentionOf(topic).catch((error: unknown) => {
    if (isKeymillError(error, 'TOPIC_MISSING')) return null;
    throw error;
  });
  const is = roundedUp(wanted);
  if (found !== null && found.ms === is.ms && found.bytes === is.bytes) return undefined;
  if (apply) await admin.setRetention(topic, is);
  return `retention ${found ? pictureOf(found) : 'of its namespace'} → ${pictureOf(is)}`;
}

/** A broker counts in minutes and MiB. */
function roundedUp({ ms, bytes }: Retention): Retention {
  return { ms: Math.ceil(ms / 60_000) * 60_000, bytes: Math.ceil(bytes / 2 ** 20) * 2 ** 20 };
}

function pictureOf({ ms, bytes }: Retention): string {
  return `${ms / 60_000} min and ${bytes / 2 ** 20} MiB`;
}

function picture(partitions: number): string {
  return partitions === 0 ? 'no partitions' : `${partitions} partitions`;
}
