/**
 * Names of topics as Pulsar has them: `persistent://tenant/namespace/name`, `tenant/namespace/name`, or a plain `name`, which
 * is of public/default (reference/pulsar.md 2.4). One spelling, the full one, is used inside and on messages.
 */
import { KeymillError } from '../../runtime/index.ts';

const PERSISTENT = 'persistent://';
const NON_PERSISTENT = 'non-persistent://';
const DEFAULT_NAMESPACE = 'public/default';

/** What Pulsar allows in the parts of a name. */
const PART = /^[\w.=:-]{1,255}$/;
const PARTITION = /^(.*)-partition-(0|[1-9]\d{0,8})$/;

export interface TopicName {
  /** `persistent://tenant/namespace/name`. */
  readonly full: string;
  /** `tenant/namespace`. */
  readonly namespace: string;
  readonly local: string;
  /** The full name of the partitioned topic that this would be a partition of, and which one; else itself and -1. */
  readonly base: string;
  readonly partition: number;
}

/** Throws TOPIC_INVALID. */
export function topicName(said: string): TopicName {
  if (said.startsWith(NON_PERSISTENT)) throw invalid(said, 'topics that are not persistent are not supported');
  const path = said.startsWith(PERSISTENT) ? said.slice(PERSISTENT.length) : said;
  const parts = path.split('/');
  const [tenant, space, local] = parts.length === 1 ? [...DEFAULT_NAMESPACE.split('/'), path] : parts;
  if (parts.length !== 1 && parts.length !== 3) throw invalid(said, 'expected name or tenant/namespace/name');
  if (parts.length === 1 && path !== said) throw invalid(said, 'expected persistent://tenant/namespace/name');
  for (const part of [tenant!, space!, local!])
    if (!PART.test(part)) throw invalid(said, `${JSON.stringify(part)} is not a name`);
  const namespace = `${tenant}/${space}`;
  const full = `${PERSISTENT}${namespace}/${local}`;
  const match = PARTITION.exec(local!);
  return {
    full,
    namespace,
    local: local!,
    base: match ? `${PERSISTENT}${namespace}/${match[1]}` : full,
    partition: match ? Number(match[2]) : -1,
  };
}

export function partitionOf(full: string, partition: number): string {
  return `${full}-partition-${partition}`;
}

/** Throws TOPIC_INVALID. Names of dead-letter topics are made of it. */
export function checkSubscription(name: string): void {
  if (!PART.test(name)) throw invalid(name, 'not the name of a subscription');
}

/** `{topic}-{subscription}-DLQ`, without the suffix of a partition, as the official clients have it. */
export function deadLetterTopic(topic: string, subscription: string): string {
  return `${topicName(topic).base}-${subscription}-DLQ`;
}

/** `{topic}-{subscription}-RETRY`, as the official clients have it. */
export function retryLetterTopic(topic: string, subscription: string): string {
  return `${topicName(topic).base}-${subscription}-RETRY`;
}

export interface TopicPattern {
  readonly namespace: string;
  /** Whether a whole local name matches. Partitions are known by the topic they are of. */
  matches(local: string): boolean;
}

/** `REGEXP`, or `tenant/namespace/REGEXP` with or without the scheme. Throws TOPIC_INVALID. */
export function topicPattern(said: string): TopicPattern {
  const path = said.startsWith(PERSISTENT) ? said.slice(PERSISTENT.length) : said;
  const match = /^([\w.=:-]+\/[\w.=:-]+)\/(.+)$/.exec(path);
  const [namespace, source] = match ? [match[1]!, match[2]!] : [DEFAULT_NAMESPACE, path];
  let expression: RegExp;
  try {
    expression = new RegExp(`^(?:${source})$`);
  } catch {
    throw invalid(said, 'not a regular expression');
  }
  return { namespace, matches: local => expression.test(local) };
}

function invalid(name: string, why: string): KeymillError {
  return new KeymillError('TOPIC_INVALID', `${JSON.stringify(name)}: ${why}`, { place: { at: name } });
}
