/**
 * The official Python client in a process of its own, as the independent other side: what it wrote we must read, and what we
 * wrote it must. Payloads are base64 on the way, ids texts as in `message-id.ts`.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { pulsarService } from './services.ts';

const PROGRAM = fileURLToPath(new URL('./pulsar-peer.py', import.meta.url));

export interface PeerOptions {
  readonly url: string;
  readonly token?: string;
  /** Paths of PEM files, for a client that proves itself by TLS. */
  readonly certificate?: string;
  readonly key?: string;
  /** Path of the authority's certificate. */
  readonly ca?: string;
  readonly validateHost?: boolean;
  /** The client tries for so long even where its token was refused, and then says `Timeout`. */
  readonly operationTimeoutS?: number;
}

export interface PeerOutMessage {
  readonly payload: string | Uint8Array | null;
  readonly key?: string;
  readonly orderingKey?: string;
  readonly properties?: Readonly<Record<string, string>>;
  readonly eventTime?: number;
  readonly sequenceId?: number;
  readonly deliverAfterMs?: number;
}

export interface PeerProducing {
  readonly name?: string;
  readonly codec?: 'none' | 'lz4' | 'zlib' | 'zstd' | 'snappy';
  /** All messages in one batch, or in ones of `maxMessages`; with `byKey` one batch a key. */
  readonly batching?: boolean;
  readonly maxMessages?: number;
  readonly byKey?: boolean;
  readonly chunking?: boolean;
  readonly access?: 'Shared' | 'Exclusive' | 'WaitForExclusive' | 'ExclusiveWithFencing';
}

export interface PeerSubscribing {
  readonly type?: 'Exclusive' | 'Shared' | 'Failover' | 'Key_Shared';
  readonly initialPosition?: 'Latest' | 'Earliest';
  readonly name?: string;
  readonly queueSize?: number;
  readonly nackDelayMs?: number;
  readonly batchIndexAck?: boolean;
}

export interface PeerMessage {
  readonly id: string;
  readonly topic: string;
  readonly producer: string;
  /** Null where it is absent or empty, which the client does not tell apart; so with the ordering key and the event time. */
  readonly key: string | null;
  readonly orderingKey: string | null;
  readonly properties: Readonly<Record<string, string>>;
  readonly eventTime: number | null;
  readonly publishTime: number;
  readonly redeliveryCount: number;
  readonly payload: Buffer | null;
}

/** What the client threw. */
export class PeerError extends Error {
  /** Its class there: `Timeout`, `AuthorizationError`, `ConsumerBusy` and the like. */
  override readonly name: string;

  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

type Reply = { readonly ask: number } & (
  | { readonly ok: unknown }
  | { readonly error: string; readonly message: string }
);
type WireMessage = Omit<PeerMessage, 'payload'> & { readonly payload: string | null };

/** Asks may be made at once: one that waits holds up no other. Rejects with what the client threw, as a PeerError. */
export class PulsarPeer {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #asks = 0;
  #stderr = '';

  constructor(python: string, options: PeerOptions) {
    this.#child = spawn(python, [PROGRAM, JSON.stringify(options)]);
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.#child.stdin.on('error', () => {});
    createInterface(this.#child.stdout).on('line', line => this.#answered(JSON.parse(line) as Reply));
    this.#child.on('close', () => {
      const gone = new PeerError('Gone', `the peer ended: ${this.#stderr.trim()}`);
      for (const { reject } of this.#waiting.values()) reject(gone);
      this.#waiting.clear();
    });
  }

  /** Ids in the order of the messages. The producer lives for this ask. */
  produce(topic: string, messages: readonly PeerOutMessage[], options: PeerProducing = {}): Promise<string[]> {
    const encoded = messages.map(message => ({
      ...message,
      payload: message.payload === null ? null : Buffer.from(message.payload as string).toString('base64'),
    }));
    return this.#ask('produce', { topic, messages: encoded, ...options });
  }

  async subscribe(
    topic: string | readonly string[],
    subscription: string,
    options: PeerSubscribing = {},
  ): Promise<PeerConsumer> {
    const consumer = await this.#ask<number>('subscribe', { topic, subscription, ...options });
    const ask = <T>(name: string, more: object = {}): Promise<T> => this.#ask<T>(name, { consumer, ...more });
    return {
      receive: async (count = 1, timeoutMs = 20_000) =>
        (await ask<WireMessage[]>('receive', { count, timeoutMs })).map(decoded),
      acknowledge: ids => ask('acknowledge', { ids }),
      acknowledgeUpTo: id => ask('acknowledge', { ids: [id], cumulative: true }),
      nack: ids => ask('nack', { ids }),
      seek: to => ask('seek', { to }),
      unsubscribe: () => ask('unsubscribe'),
      close: () => ask('close'),
    };
  }

  /** All messages that are there now, by a reader. `start` is 'earliest', 'latest', or the id before the first. */
  async read(topic: string, start = 'earliest'): Promise<PeerMessage[]> {
    return (await this.#ask<WireMessage[]>('read', { topic, start })).map(decoded);
  }

  /** Names of the partitions; the topic itself where it has none. */
  partitions(topic: string): Promise<string[]> {
    return this.#ask('partitions', { topic });
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await closed;
  }

  #ask<T>(name: string, more: object): Promise<T> {
    const number = ++this.#asks;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(number, waiting);
    this.#child.stdin.write(`${JSON.stringify({ ask: number, do: name, ...more })}\n`);
    return waiting.promise as Promise<T>;
  }

  #answered(reply: Reply): void {
    const waiting = this.#waiting.get(reply.ask);
    this.#waiting.delete(reply.ask);
    if ('ok' in reply) waiting?.resolve(reply.ok);
    else waiting?.reject(new PeerError(reply.error, reply.message));
  }
}

export interface PeerConsumer {
  /** So many, each within the time; rejects with Timeout. */
  receive(count?: number, timeoutMs?: number): Promise<PeerMessage[]>;
  /** Of messages it received. */
  acknowledge(ids: readonly string[]): Promise<void>;
  acknowledgeUpTo(id: string): Promise<void>;
  nack(ids: readonly string[]): Promise<void>;
  /** To 'earliest', 'latest', an id, or a publish time in ms. */
  seek(to: string | number): Promise<void>;
  unsubscribe(): Promise<void>;
  close(): Promise<void>;
}

const decoded = (message: WireMessage): PeerMessage => ({
  ...message,
  payload: message.payload === null ? null : Buffer.from(message.payload, 'base64'),
});

/** A peer until the test ends; of the service that runs, by its plain url unless said otherwise. */
export function pulsarPeer(options: Partial<PeerOptions> = {}): PulsarPeer {
  const service = pulsarService();
  if (service?.python == null)
    throw new Error('no Pulsar runs, or none with a Python client: skip the test by pulsarService()');
  const peer = new PulsarPeer(service.python, { url: service.url, ...options });
  onTestFinished(() => peer.end());
  return peer;
}
