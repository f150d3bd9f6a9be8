/** Asks brokers which of them has a topic, how many partitions it has, and which topics there are (reference/pulsar.md 2.4). */
import { KeymillError } from '../../../runtime/index.ts';
import { serviceUrl } from './address.ts';
import type { CommandOf } from './codec/commands.ts';
import type { Connection } from './connection.ts';
import type { Connections } from './connections.ts';
import { lostFault, serverFault } from './faults.ts';

const MOST_REDIRECTS = 20;
/** `response` of the answers. */
const FAILED = { partitions: 1, lookup: 2 } as const;
const REDIRECT = 0;
/** Mode of topicsOf: those that persist. */
const PERSISTENT = 0;

/** Unique within the client. */
export type NextId = () => number;

export class Lookup {
  readonly #connections: Connections;
  readonly #nextId: NextId;

  constructor(connections: Connections, nextId: NextId) {
    this.#connections = connections;
    this.#nextId = nextId;
  }

  /** 0 for a topic that has none. Rejects with TOPIC_MISSING, ACCESS_REFUSED, TOPIC_INVALID, IO_FAILED. */
  async partitions(topic: string, makes: boolean): Promise<number> {
    const connection = await this.#connections.toService();
    const answer = await connection.request(
      {
        type: 'partitionMetadata',
        topic,
        requestId: this.#nextId(),
        ...(makes ? {} : { metadataAutoCreationEnabled: false }),
      },
      'partitionMetadataResponse',
      topic,
    );
    if (answer.response === FAILED.partitions || answer.error !== undefined)
      throw serverFault(answer.error ?? 0, answer.message ?? '', topic);
    return answer.partitions ?? 0;
  }

  /** A connection to the broker that has the topic now. */
  async connectionFor(topic: string): Promise<Connection> {
    let connection = await this.#connections.toService();
    let authoritative = false;
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      const answer: CommandOf<'lookupTopicResponse'> = await connection.request(
        { type: 'lookupTopic', topic, requestId: this.#nextId(), authoritative },
        'lookupTopicResponse',
        topic,
      );
      if (answer.response === undefined || answer.response === FAILED.lookup)
        throw serverFault(answer.error ?? 0, answer.message ?? '', topic);
      const broker = this.#brokerOf(answer, topic);
      if (answer.response !== REDIRECT) return broker;
      connection = await broker;
      authoritative = answer.authoritative ?? false;
    }
    throw lostFault(topic, `more than ${MOST_REDIRECTS} redirects`);
  }

  /** The broker that closed a producer or consumer may say where to go on. Undefined where it did not. */
  assigned(urls: {
    readonly assignedBrokerServiceUrl?: string | undefined;
    readonly assignedBrokerServiceUrlTls?: string | undefined;
  }): (() => Promise<Connection>) | undefined {
    const url = this.#connections.isSecure ? urls.assignedBrokerServiceUrlTls : urls.assignedBrokerServiceUrl;
    if (url === undefined || url === '') return undefined;
    return () => this.#connections.toBroker(serviceUrl(url).addresses[0]!, false);
  }

  /** Full names, those of partitions too. */
  async topicsOf(namespace: string): Promise<readonly string[]> {
    const connection = await this.#connections.toService();
    const { topics } = await connection.request(
      { type: 'getTopicsOfNamespace', requestId: this.#nextId(), namespace, mode: PERSISTENT },
      'getTopicsOfNamespaceResponse',
      namespace,
    );
    return topics ?? [];
  }

  #brokerOf(answer: CommandOf<'lookupTopicResponse'>, topic: string): Promise<Connection> {
    const url = this.#connections.isSecure ? answer.brokerServiceUrlTls : answer.brokerServiceUrl;
    if (url === undefined || url === '')
      throw new KeymillError(
        'IO_FAILED',
        `${topic}: its broker has no address for ${this.#connections.isSecure ? 'pulsar+ssl' : 'pulsar'}`,
        { class: 'fatal', place: { at: topic } },
      );
    return this.#connections.toBroker(serviceUrl(url).addresses[0]!, answer.proxyThroughServiceUrl ?? false);
  }
}
