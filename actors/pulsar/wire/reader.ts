/** A reader of the wire client: subscriptions that do not stay, one for each partition, and one inbox. */
import { KeymillError } from '../../../runtime/index.ts';
import type { InMessage, Reader, ReaderOptions, StartPosition } from '../contract.ts';
import type { Attachment } from './attachment.ts';
import type { ClientParts } from './client-parts.ts';
import { Inbox } from './inbox.ts';
import { PartitionConsumer } from './partition-consumer.ts';

export class WireReader implements Reader {
  readonly #inbox = new Inbox();
  readonly #children: readonly PartitionConsumer[];
  readonly #options: ReaderOptions;
  readonly #closed: (reader: WireReader) => void;
  #isClosed = false;

  private constructor(
    topics: readonly { readonly topic: string; readonly partition: number }[],
    options: ReaderOptions,
    name: string,
    parts: ClientParts,
    closed: (reader: WireReader) => void,
  ) {
    this.#options = options;
    this.#closed = closed;
    const { from, isInclusive = false, prefetch = 1000 } = options;
    this.#children = topics.map(
      ({ topic, partition }) =>
        new PartitionConsumer(
          {
            topic,
            partition,
            subscription: `reader-${name}`,
            type: 'Exclusive',
            name,
            prefetch,
            initialPosition: 'Latest',
            nackDelayMs: 0,
            ackTimeoutMs: 0,
            from: { position: from, isInclusive },
          },
          parts,
          this.#inbox,
          fault => this.#inbox.close(fault),
        ),
    );
  }

  /** Rejects with TOPIC_MISSING, CONFIG_INVALID, ACCESS_REFUSED, IO_FAILED. */
  static async open(
    topics: readonly { readonly topic: string; readonly partition: number }[],
    options: ReaderOptions,
    name: string,
    parts: ClientParts,
    closed: (reader: WireReader) => void,
  ): Promise<WireReader> {
    const { from } = options;
    mustBeOne(from, topics.length, options.topic);
    const reader = new WireReader(topics, options, name, parts, closed);
    try {
      await Promise.all(reader.#children.map(child => child.start()));
      if (needsSeek(from, options)) await reader.#move(from);
    } catch (error) {
      await reader.close();
      throw error;
    }
    return reader;
  }

  /** Entries that nobody can read. */
  get corrupt(): number {
    return this.#children.reduce((sum, child) => sum + child.corrupt, 0);
  }

  /** One for each topic or partition. */
  get attachments(): readonly Attachment[] {
    return this.#children.map(child => child.attachment);
  }

  async next(signal?: AbortSignal): Promise<InMessage> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw closedError();
    return this.#inbox.take(signal);
  }

  async hasNext(): Promise<boolean> {
    if (this.#isClosed) throw closedError();
    if (!this.#inbox.isEmpty) return true;
    const answers = await Promise.all(this.#children.map(child => child.hasNext()));
    return answers.includes(true);
  }

  async seek(to: StartPosition): Promise<void> {
    if (this.#isClosed) throw closedError();
    mustBeOne(to, this.#children.length, this.#options.topic);
    await this.#move(to);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#inbox.close(closedError());
    await Promise.all(this.#children.map(child => child.close()));
    this.#closed(this);
  }

  /** From the end and inclusive is: from the last message that is there. */
  async #move(to: StartPosition): Promise<void> {
    await Promise.all(
      this.#children.map(async child => {
        const last = to === 'latest' && this.#options.isInclusive ? await child.lastId() : null;
        await child.seek(last ? { id: last } : to);
      }),
    );
  }
}

function needsSeek(from: StartPosition, { isInclusive }: ReaderOptions): boolean {
  return (typeof from === 'object' && 'publishedAt' in from) || (from === 'latest' && isInclusive === true);
}

function mustBeOne(position: StartPosition, partitions: number, topic: string): void {
  if (typeof position !== 'object' || !('id' in position) || partitions === 1) return;
  throw new KeymillError(
    'CONFIG_INVALID',
    `a message id is a place in one partition, and ${topic} has several: read one of them`,
  );
}

function closedError(): KeymillError {
  return new KeymillError('CONSUMER_CLOSED', 'the reader was closed');
}
