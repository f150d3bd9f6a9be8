/**
 * A reader of the official client. Its `readNext` holds a thread of Node's pool until a message comes, and frees memory that it
 * never had when it gives up (1.18); so it is called only when `hasNext` says that there is one, and looks in between.
 */
import { type Clock, KeymillError, type Timer } from '../../../runtime/index.ts';
import type { InMessage, Reader, StartPosition } from '../contract.ts';
import { Takers } from '../takers.ts';
import { nativeFault } from './faults.ts';
import { inMessage, nativeStart } from './messages.ts';
import type { NativePackage, NativeReader } from './native.ts';

/** How often a reader at the end looks for more. */
const LOOK_MS = 100;

export interface OfficialReaderNeeds {
  readonly native: NativePackage;
  readonly clock: Clock;
  readonly topic: string;
  closed(reader: OfficialReader): void;
}

export class OfficialReader implements Reader {
  readonly #native: NativeReader;
  readonly #needs: OfficialReaderNeeds;
  readonly #takers = new Takers();
  /** Read, and nobody waited any more. */
  #kept: InMessage[] = [];
  #reading: Promise<void> | null = null;
  #timer: Timer | null = null;
  #isMoving = false;
  #isClosed = false;

  constructor(native: NativeReader, needs: OfficialReaderNeeds) {
    this.#native = native;
    this.#needs = needs;
  }

  get isConnected(): boolean {
    return this.#native.isConnected();
  }

  async next(signal?: AbortSignal): Promise<InMessage> {
    signal?.throwIfAborted();
    this.#mustBeOpen();
    const kept = this.#takers.isEmpty ? this.#kept.shift() : undefined;
    if (kept) return kept;
    const waiting = this.#takers.wait(signal);
    this.#look();
    return waiting;
  }

  /** Blocks the thread until the broker answers. */
  async hasNext(): Promise<boolean> {
    this.#mustBeOpen();
    await this.#reading;
    return this.#kept.length > 0 || this.#hasNext();
  }

  async seek(to: StartPosition): Promise<void> {
    this.#mustBeOpen();
    this.#isMoving = true;
    try {
      await this.#reading;
      this.#kept = [];
      if (typeof to === 'object' && 'publishedAt' in to) await this.#native.seekTimestamp(to.publishedAt);
      else await this.#native.seek(nativeStart(to, this.#needs.native));
    } catch (error) {
      throw nativeFault(error, this.#needs.topic);
    } finally {
      this.#isMoving = false;
      this.#look();
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#takers.failAll(closedError());
    await this.#reading;
    await this.#native.close().catch(() => undefined); // it ends with the connection
    this.#needs.closed(this);
  }

  #look(): void {
    if (this.#isClosed || this.#isMoving || this.#reading !== null || this.#timer !== null || this.#takers.isEmpty)
      return;
    try {
      if (this.#hasNext()) {
        this.#reading = this.#read();
        return;
      }
    } catch (error) {
      this.#takers.failAll(error);
      return;
    }
    this.#timer = this.#needs.clock.after(LOOK_MS, () => {
      this.#timer = null;
      this.#look();
    });
  }

  async #read(): Promise<void> {
    try {
      this.#kept.push(inMessage(await this.#native.readNext()));
      if (!this.#isMoving) this.#takers.serve(() => this.#kept.shift());
    } catch (error) {
      this.#takers.failAll(nativeFault(error, this.#needs.topic));
    } finally {
      this.#reading = null;
      this.#look();
    }
  }

  #hasNext(): boolean {
    try {
      return this.#native.hasNext();
    } catch (error) {
      throw nativeFault(error, this.#needs.topic);
    }
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw closedError();
  }
}

function closedError(): KeymillError {
  return new KeymillError('CONSUMER_CLOSED', 'the reader was closed');
}
