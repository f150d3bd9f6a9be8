/**
 * What the driver uses of the npm package `pulsar-client`, in our own words (its 1.18 was read), and how it is loaded. Its
 * promises reject with an Error whose text ends with the name of a result, `Failed to …: ProducerBusy`.
 */
import { asError, KeymillError } from '../../../runtime/index.ts';

/** As text: the four parts of an id, ledger, entry, partition, index in the batch. */
export interface NativeId {
  toString(): string;
}

export interface NativeOutMessage {
  readonly data: Buffer;
  readonly partitionKey?: string | undefined;
  readonly orderingKey?: string | undefined;
  readonly properties?: Readonly<Record<string, string>> | undefined;
  readonly eventTimestamp?: number | undefined;
  readonly sequenceId?: number | undefined;
  readonly deliverAt?: number | undefined;
}

export interface NativeMessage {
  getTopicName(): string;
  getProperties(): Readonly<Record<string, string>>;
  getData(): Buffer;
  getMessageId(): NativeId;
  getPublishTimestamp(): number;
  /** 0 for none. */
  getEventTimestamp(): number;
  getRedeliveryCount(): number;
  /** '' for none. */
  getPartitionKey(): string;
  /** '' for none. */
  getOrderingKey(): string;
  getProducerName(): string;
}

export interface NativeProducer {
  send(message: NativeOutMessage): Promise<NativeId>;
  flush(): Promise<unknown>;
  close(): Promise<unknown>;
  getProducerName(): string;
  isConnected(): boolean;
}

export interface NativeConsumer {
  receive(): Promise<NativeMessage>;
  acknowledgeId(id: NativeId): Promise<unknown>;
  acknowledgeCumulativeId(id: NativeId): Promise<unknown>;
  negativeAcknowledgeId(id: NativeId): void;
  seek(id: NativeId): Promise<unknown>;
  seekTimestamp(publishedAt: number): Promise<unknown>;
  unsubscribe(): Promise<unknown>;
  close(): Promise<unknown>;
  isConnected(): boolean;
}

export interface NativeReader {
  readNext(): Promise<NativeMessage>;
  hasNext(): boolean;
  seek(id: NativeId): Promise<unknown>;
  seekTimestamp(publishedAt: number): Promise<unknown>;
  close(): Promise<unknown>;
  isConnected(): boolean;
}

export type NativeConfig = Readonly<Record<string, unknown>>;

export interface NativeClient {
  createProducer(config: NativeConfig): Promise<NativeProducer>;
  subscribe(config: NativeConfig): Promise<NativeConsumer>;
  createReader(config: NativeConfig): Promise<NativeReader>;
  getPartitionsForTopic(topic: string): Promise<string[]>;
  close(): Promise<unknown>;
}

export interface NativePackage {
  readonly Client: new (config: NativeConfig) => NativeClient;
  readonly MessageId: { earliest(): NativeId; latest(): NativeId; deserialize(bytes: Buffer): NativeId };
  readonly AuthenticationToken: new (params: { readonly token: string }) => unknown;
  readonly AuthenticationBasic: new (params: { readonly username: string; readonly password: string }) => unknown;
  readonly AuthenticationTls: new (params: {
    readonly certificatePath: string;
    readonly privateKeyPath: string;
  }) => unknown;
  readonly AuthenticationOauth2: new (params: Readonly<Record<string, string>>) => unknown;
}

const NAME: string = 'pulsar-client';

/** Rejects with CONFIG_INVALID where it is not there, or has no binary for this system. */
export async function loadNative(): Promise<NativePackage> {
  try {
    return ((await import(NAME)) as { readonly default: NativePackage }).default;
  } catch (cause) {
    throw missing(cause);
  }
}

function missing(cause: unknown): KeymillError {
  const [line] = asError(cause).message.split('\n');
  return new KeymillError(
    'CONFIG_INVALID',
    `driver ${NAME} needs the package of that name: npm install ${NAME} (${line})`,
    { cause },
  );
}
