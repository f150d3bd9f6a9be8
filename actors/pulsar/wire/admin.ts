/** What only the admin REST API of a broker can do: making topics, and telling what they hold. */
import { asError, KeymillError } from '../../../runtime/index.ts';
import type { SubscriptionType, TopicStats } from '../contract.ts';
import { topicName } from '../topic-name.ts';
import type { Retention, TopicAdmin } from '../topics.ts';
import type { Auth } from './auth.ts';

interface SubscriptionNumbers {
  readonly msgBacklog?: number;
  readonly type?: string;
  readonly consumers?: readonly unknown[];
}

interface TopicNumbers {
  readonly msgInCounter?: number;
  readonly storageSize?: number;
  readonly subscriptions?: Readonly<Record<string, SubscriptionNumbers>>;
  readonly metadata?: { readonly partitions?: number };
}

const MAX_PARTITIONS = 1000;
const NOT_FOUND = 404;
const CONFLICT = 409;
/** Words of the API for subscriptions that nobody has consumed yet. */
const DEFAULT_TYPE: SubscriptionType = 'Exclusive';

export class Admin implements TopicAdmin {
  readonly #url: string;
  readonly #auth: Auth;
  readonly #timeoutMs: number;

  /** `url`: `http://HOST:PORT` or `https://HOST:PORT`. */
  constructor(url: string, auth: Auth, timeoutMs: number) {
    this.#url = url.replace(/\/$/, '');
    this.#auth = auth;
    this.#timeoutMs = timeoutMs;
  }

  /** False where there is one already. Rejects with TOPIC_MISSING where its namespace is not there. */
  async createTopic(topic: string, partitions: number): Promise<boolean> {
    const path = pathOf(topic);
    const { status, text } =
      partitions > 0
        ? await this.#call('PUT', `${path}/partitions`, topic, JSON.stringify(partitions))
        : await this.#call('PUT', path, topic);
    if (status === CONFLICT) return false;
    this.#mustBeFine(status, text, topic);
    return true;
  }

  /** Rejects with TOPIC_MISSING. */
  async stats(topic: string, partitions: number): Promise<TopicStats> {
    const path = `${pathOf(topic)}/${partitions > 0 ? 'partitioned-stats' : 'stats'}?getPreciseBacklog=true`;
    const { status, text } = await this.#call('GET', path, topic);
    this.#mustBeFine(status, text, topic);
    const numbers = JSON.parse(text) as TopicNumbers;
    return {
      topic,
      messages: numbers.msgInCounter ?? 0,
      bytes: numbers.storageSize ?? 0,
      subscriptions: Object.fromEntries(
        Object.entries(numbers.subscriptions ?? {}).map(([name, { type, msgBacklog = 0, consumers = [] }]) => [
          name,
          {
            type: (type as SubscriptionType | undefined) ?? DEFAULT_TYPE,
            backlog: msgBacklog,
            consumers: consumers.length,
          },
        ]),
      ),
    };
  }

  /** Undefined where there is no such topic; 0 without partitions. Makes none. */
  async partitionsOf(topic: string): Promise<number | undefined> {
    const path = pathOf(topic);
    const { status, text } = await this.#call('GET', `${path}/partitions?checkAllowAutoCreation=false`, topic);
    if (status === NOT_FOUND) return undefined;
    this.#mustBeFine(status, text, topic);
    const { partitions = 0 } = JSON.parse(text) as { partitions?: number };
    if (partitions > 0) return partitions;
    return (await this.#call('GET', `${path}/stats`, topic)).status === NOT_FOUND ? undefined : 0;
  }

  /** Null where the topic has none of its own. */
  async retentionOf(topic: string): Promise<Retention | null> {
    const { status, text } = await this.#call('GET', `${pathOf(topic)}/retention?applied=false`, topic);
    this.#mustBeFine(status, text, topic);
    const found = (text === '' ? null : JSON.parse(text)) as {
      retentionTimeInMinutes: number;
      retentionSizeInMB: number;
    } | null;
    return found && { ms: found.retentionTimeInMinutes * 60_000, bytes: found.retentionSizeInMB * 2 ** 20 };
  }

  async setRetention(topic: string, { ms, bytes }: Retention): Promise<void> {
    const body = { retentionTimeInMinutes: Math.ceil(ms / 60_000), retentionSizeInMB: Math.ceil(bytes / 2 ** 20) };
    const { status, text } = await this.#call('POST', `${pathOf(topic)}/retention`, topic, JSON.stringify(body));
    this.#mustBeFine(status, text, topic);
  }

  async #call(method: string, path: string, at: string, body?: string): Promise<{ status: number; text: string }> {
    const headers: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
    const data = await this.#auth.data();
    if (data && this.#auth.method === 'token') headers['authorization'] = `Bearer ${Buffer.from(data).toString()}`;
    if (data && this.#auth.method === 'basic')
      headers['authorization'] = `Basic ${Buffer.from(data).toString('base64')}`;
    try {
      const signal = AbortSignal.timeout(this.#timeoutMs);
      const response = await fetch(`${this.#url}/admin/v2/${path}`, { method, headers, signal, body: body ?? null });
      return { status: response.status, text: await response.text() };
    } catch (cause) {
      throw new KeymillError('IO_FAILED', `${at}: the admin API cannot be reached (${asError(cause).message})`, {
        cause,
        place: { at },
      });
    }
  }

  #mustBeFine(status: number, text: string, at: string): void {
    if (status < 300) return;
    const said = reasonOf(text);
    const place = { place: { at } };
    if (status === NOT_FOUND) throw new KeymillError('TOPIC_MISSING', `there is no topic ${at} (${said})`, place);
    if (status === 401 || status === 403) throw new KeymillError('ACCESS_REFUSED', `${at}: ${status} ${said}`, place);
    throw new KeymillError('IO_FAILED', `${at}: the admin API answered ${status} ${said}`, place);
  }
}

/**
 * Makes a topic where it is missing; without an admin API only one that has no partitions, at its first use. `partitionsOf` says
 * what it has, and may make it. Rejects with CONFIG_INVALID where it has others.
 */
export async function makeTopic(
  admin: Admin | null,
  topic: string,
  partitions: number,
  partitionsOf: () => Promise<number>,
): Promise<void> {
  const place = { place: { at: topic } };
  if (!Number.isInteger(partitions) || partitions < 0 || partitions > MAX_PARTITIONS)
    throw new KeymillError(
      'CONFIG_INVALID',
      `${topic}: expected 1 to ${MAX_PARTITIONS} partitions, found ${partitions}`,
      place,
    );
  if (admin) {
    if (await admin.createTopic(topic, partitions)) return;
  } else if (partitions > 0)
    throw new KeymillError('CONFIG_INVALID', `${topic}: making partitions needs adminUrl`, place);
  const found = await partitionsOf();
  if (found !== partitions)
    throw new KeymillError('CONFIG_INVALID', `${topic} has ${found} partitions, not ${partitions}`, place);
}

function pathOf(topic: string): string {
  const { namespace, local } = topicName(topic);
  return `persistent/${namespace}/${encodeURIComponent(local)}`;
}

function reasonOf(text: string): string {
  try {
    return String((JSON.parse(text) as { reason?: unknown }).reason ?? text).slice(0, 200);
  } catch {
    return text.slice(0, 200);
  }
}
