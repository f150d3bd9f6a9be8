/** What tests ask of the broker's admin API. Topics are whole names or, short, ones of public/default. */
import { pulsarService } from './services.ts';

/** Rejects with the status and the broker's reason when it is not 2xx. Gives what the reply holds, null if nothing. */
export async function admin(method: string, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(`${pulsarService()!.admin}/admin/v2/${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === '' ? null : JSON.parse(text);
}

function pathOf(topic: string): string {
  const [domain, rest] = topic.includes('://') ? topic.split('://') : ['persistent', topic];
  const parts = rest!.split('/');
  return [domain, ...(parts.length === 1 ? ['public', 'default'] : []), ...parts]
    .map(part => encodeURIComponent(part!))
    .join('/');
}

const onTopic = (method: string, topic: string, what: string, body?: unknown): Promise<unknown> =>
  admin(method, `${pathOf(topic)}${what}`, body);

/** The broker closes producers and consumers of the topic, and opens it anew when they come back. */
export async function unloadTopic(topic: string): Promise<void> {
  await onTopic('PUT', topic, '/unload');
}

/** No more messages; consumers are told when they read all. */
export async function terminateTopic(topic: string): Promise<void> {
  await onTopic('POST', topic, '/terminate');
}

export async function createPartitions(topic: string, count: number): Promise<void> {
  await onTopic('PUT', topic, '/partitions', count);
}

export async function morePartitions(topic: string, count: number): Promise<void> {
  await onTopic('POST', topic, '/partitions', count);
}

export async function createTopic(topic: string): Promise<void> {
  await onTopic('PUT', topic, '');
}

export async function deleteTopic(topic: string): Promise<void> {
  await onTopic('DELETE', topic, '?force=true');
}

/** Whether the topic drops messages whose sequence id its producer has used. Holds soon after, not at once. */
export async function setDeduplication(topic: string, enabled: boolean): Promise<void> {
  await onTopic('POST', topic, '/deduplicationEnabled', enabled);
}

/** The part of a topic's numbers that tests look at. */
export interface TopicStats {
  readonly publishers: readonly { readonly producerName: string; readonly accessMode: string }[];
  readonly subscriptions: Readonly<
    Record<
      string,
      {
        readonly msgBacklog: number;
        readonly unackedMessages: number;
        readonly type: string;
        readonly consumers: readonly {
          readonly consumerName: string;
          readonly availablePermits: number;
          readonly unackedMessages: number;
        }[];
      }
    >
  >;
}

export const topicStats = async (topic: string): Promise<TopicStats> =>
  (await onTopic('GET', topic, '/stats?getPreciseBacklog=true')) as TopicStats;
