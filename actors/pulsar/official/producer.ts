/**
 * A producer of the official client. That one blocks its thread or fails when too much is under way, so sends beyond
 * `maxPending` wait here.
 */
import { KeymillError } from '../../../runtime/index.ts';
import type { MessageId, OutMessage, Producer } from '../contract.ts';
import { nativeFault } from './faults.ts';
import { idText, nativeMessage } from './messages.ts';
import type { NativeOutMessage, NativeProducer } from './native.ts';

interface Send {
  readonly message: NativeOutMessage;
  resolve(id: MessageId): void;
  reject(error: unknown): void;
}

export class OfficialProducer implements Producer {
  readonly topic: string;
  /** The client does not tell. */
  readonly lastSequenceId = -1;
  readonly #native: NativeProducer;
  readonly #maxPending: number;
  readonly #closed: (producer: OfficialProducer) => void;
  #waiting: Send[] = [];
  #pending = 0;
  #sent = 0;
  #answered = 0;
  #closing: Promise<void> | null = null;

  constructor(topic: string, native: NativeProducer, maxPending: number, closed: (producer: OfficialProducer) => void) {
    this.topic = topic;
    this.#native = native;
    this.#maxPending = maxPending;
    this.#closed = closed;
  }

  get name(): string {
    return this.#native.getProducerName();
  }

  get isConnected(): boolean {
    return this.#native.isConnected();
  }

  send(message: OutMessage): Promise<MessageId> {
    return new Promise((resolve, reject) => {
      if (this.#closing) throw closedError(this.topic);
      this.#waiting.push({ message: nativeMessage(message, this.topic), resolve, reject });
      this.#sent++;
      this.#submit();
    });
  }

  /** Each flush of the client is of what it has; what waits here is flushed by the next. */
  async flush(): Promise<void> {
    const until = this.#sent;
    try {
      while (this.#answered < until) await this.#native.flush();
    } catch (error) {
      throw nativeFault(error, this.topic, 'PUBLISH_FAILED');
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.flush().catch(() => undefined); // whose sends failed was told
    await this.#native.close().catch(() => undefined); // it ends with the connection
    this.#fail(closedError(this.topic));
    this.#closed(this);
  }

  #submit(): void {
    while (this.#pending < this.#maxPending) {
      const next = this.#waiting.shift();
      if (!next) return;
      this.#pending++;
      this.#native.send(next.message).then(
        id => {
          next.resolve(idText(id));
          this.#over();
        },
        (error: unknown) => {
          const fault = nativeFault(error, this.topic, 'PUBLISH_FAILED');
          // Where one may be sent again, those that wait behind it must not come first.
          if (fault.class === 'transient') this.#fail(fault);
          next.reject(fault);
          this.#over();
        },
      );
    }
  }

  #over(): void {
    this.#pending--;
    this.#answered++;
    this.#submit();
  }

  #fail(fault: KeymillError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#answered += waiting.length;
    for (const one of waiting) one.reject(fault);
  }
}

function closedError(at: string): KeymillError {
  return new KeymillError('PUBLISH_FAILED', 'the producer is closed', { place: { at } });
}
