/** A reader of the embedded bus: reads on by itself, a chunk of a partition at a time, and keeps nothing but where it is. */
import { KeymillError } from '../../../runtime/index.ts';
import type { InMessage, Reader, ReaderOptions, StartPosition } from '../contract.ts';
import { Takers } from '../takers.ts';
import type { Topic } from './topic.ts';

const CHUNK_BYTES = 1024 * 1024;

interface Part {
  readonly topic: Topic;
  /** Number of the next message to read. */
  next: number;
  /** Read and not given, the last first. */
  chunk: InMessage[];
}

export class BusReader implements Reader {
  readonly #parts: readonly Part[];
  readonly #options: ReaderOptions;
  readonly #closed: (reader: BusReader) => void;
  readonly #takers = new Takers();
  readonly #wake = (): void => this.#serve();
  #turn = 0;
  #isClosed = false;

  /** Throws CONFIG_INVALID. */
  constructor(topics: readonly Topic[], options: ReaderOptions, closed: (reader: BusReader) => void) {
    this.#options = options;
    this.#closed = closed;
    this.#parts = topics.map(topic => ({ topic, next: 0, chunk: [] }));
    this.#place(options.from);
    for (const topic of topics) topic.listeners.add(this.#wake);
  }

  async next(signal?: AbortSignal): Promise<InMessage> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw closedError();
    const next = this.#takers.isEmpty ? this.#next() : undefined;
    return next ?? this.#takers.wait(signal);
  }

  async hasNext(): Promise<boolean> {
    if (this.#isClosed) throw closedError();
    return this.#parts.some(part => part.chunk.length > 0 || part.next < part.topic.next);
  }

  async seek(to: StartPosition): Promise<void> {
    if (this.#isClosed) throw closedError();
    this.#place(to);
    this.#serve();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const { topic } of this.#parts) topic.listeners.delete(this.#wake);
    this.#takers.failAll(closedError());
    this.#closed(this);
  }

  #place(to: StartPosition): void {
    if (typeof to === 'object' && 'id' in to) this.#placeAt(to.id);
    else
      for (const part of this.#parts) {
        const { topic } = part;
        const end = this.#options.isInclusive ? Math.max(topic.first, topic.next - 1) : topic.next;
        part.next = to === 'earliest' ? topic.first : to === 'latest' ? end : topic.seqAt(to.publishedAt);
      }
    for (const part of this.#parts) part.chunk = [];
  }

  #placeAt(id: string): void {
    const [part] = this.#parts;
    if (this.#parts.length !== 1)
      throw new KeymillError(
        'CONFIG_INVALID',
        `a message id is a place in one partition, and ${this.#options.topic} has several: read one of them`,
      );
    const { topic } = part!;
    const seq = topic.seqOf(id);
    const isThere = seq !== undefined && seq >= topic.first && seq < topic.next;
    part!.next = topic.placeOf(id) + (isThere && !this.#options.isInclusive ? 1 : 0);
  }

  #serve(): void {
    try {
      this.#takers.serve(() => this.#next());
    } catch (error) {
      this.#takers.failAll(error);
    }
  }

  /** Partitions take turns. */
  #next(): InMessage | undefined {
    for (let i = 0; i < this.#parts.length; i++) {
      const index = (this.#turn + i) % this.#parts.length;
      const part = this.#parts[index]!;
      if (part.chunk.length === 0) this.#fill(part);
      const message = part.chunk.pop();
      if (!message) continue;
      this.#turn = index + 1;
      return message;
    }
    return undefined;
  }

  #fill(part: Part): void {
    const { topic } = part;
    part.next = Math.max(part.next, topic.first);
    if (part.next >= topic.next) return;
    let bytes = 0;
    const prefetch = Math.max(1, Math.min(this.#options.prefetch ?? 1000, 500));
    topic.read(part.next, topic.next, prefetch, stored => {
      part.chunk.push(stored.message);
      part.next = stored.seq + 1;
      bytes += stored.size;
      return bytes < CHUNK_BYTES;
    });
    part.chunk.reverse();
  }
}

function closedError(): KeymillError {
  return new KeymillError('CONSUMER_CLOSED', 'the reader was closed');
}
