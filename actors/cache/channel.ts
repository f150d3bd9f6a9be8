/**
 * The channel of invalidations. Each thread numbers what it publishes, so that a reader sees where something is missing; a
 * beat after the last tells of that, too, where it was the last that got lost. What is missing may concern any key.
 */
import { asError, type IoThread, type Timer, type Version } from '../../runtime/index.ts';
import type { RedisClient, Step } from '../redis/contract.ts';
import type { Invalidation } from './contract.ts';

/** changed, removed: a key. tag, set: the counter of a tag, the pointer of a set. freed: nobody loads the key any more. */
export type Subject = 'changed' | 'removed' | 'tag' | 'set' | 'freed' | 'beat';

/** As it is published, in JSON. */
export interface ChannelMessage extends Invalidation {
  readonly is: Subject;
  readonly from: string;
  /** Number of the message, or with `beat` of the last one. */
  readonly seq: number;
}

export interface Listener {
  heard(message: ChannelMessage): void;
  /** Some may have been missed. */
  gap(why: string): void;
}

const BEAT_MS = 1000;
/** What the store puts the version in the place of (Step of the redis contract). */
const BLANK = '$version';
const MOST_PUBLISHERS = 10_000;

export class Channel {
  readonly me: string;
  readonly #thread: IoThread;
  readonly #redis: RedisClient;
  readonly #name: string;
  readonly #listener: Listener;
  /** By publisher: the number of its last message. */
  readonly #seen = new Map<string, number>();
  #seq = 0;
  #beat: Timer | null = null;

  constructor(thread: IoThread, redis: RedisClient, name: string, listener: Listener) {
    const { clock, random } = thread.environment;
    this.me = `${Math.floor(clock.wall())}-${Math.floor(random() * 2 ** 48).toString(36)}`;
    this.#thread = thread;
    this.#redis = redis;
    this.#name = name;
    this.#listener = listener;
    void this.#listen();
  }

  get name(): string {
    return this.#name;
  }

  /** The next message, which must be published behind the step that wrote it, with its version in it. */
  step(is: Subject, key: string): Step {
    return { do: 'publish', channel: this.#name, message: this.message(is, key, BLANK), isFilled: true };
  }

  /** The text of the next message, which must be published. */
  message(is: Subject, key: string, version: Version | null | typeof BLANK = null): string {
    const { clock } = this.#thread.environment;
    this.#beat ??= clock.after(BEAT_MS, () => this.#sendBeat());
    return this.#text(is, key, version, ++this.#seq);
  }

  /** The version goes first, so that no key is taken for the place of it. */
  #text(is: Subject, key: string, version: Version | null | typeof BLANK, seq: number): string {
    const timestamp = Math.round(this.#thread.environment.clock.wall());
    return JSON.stringify({ version, key, timestamp, is, from: this.me, seq });
  }

  #sendBeat(): void {
    this.#beat = null;
    this.#redis.publish(this.#name, this.#text('beat', '', null, this.#seq)).catch(() => {}); // the next message tells as well
  }

  async #listen(): Promise<void> {
    try {
      for await (const heard of this.#redis.subscribe({ channel: this.#name })) {
        if ('lost' in heard) {
          this.#seen.clear();
          this.#listener.gap(
            heard.lost === 'unknown' ? 'the subscription was lost' : `${heard.lost} messages did not fit`,
          );
        } else this.#take(String(heard.message));
      }
    } catch (error) {
      this.#thread.log.error({ err: asError(error).message }, 'the cache hears of no invalidations any more');
      this.#listener.gap('the subscription has ended');
    }
  }

  #take(text: string): void {
    const message = parsed(text);
    if (message === null) return this.#listener.gap('a message that cannot be read');
    const { from, seq, is } = message;
    const before = this.#seen.get(from) ?? 0;
    const isBeat = is === 'beat';
    this.#seen.delete(from);
    this.#seen.set(from, Math.max(before, seq));
    if (this.#seen.size > MOST_PUBLISHERS) this.#seen.delete(this.#seen.keys().next().value!);
    if (seq > before + (isBeat ? 0 : 1)) this.#listener.gap(`${seq - before - (isBeat ? 0 : 1)} messages are missing`);
    if (!isBeat) this.#listener.heard(message);
  }
}

function parsed(text: string): ChannelMessage | null {
  try {
    const message = JSON.parse(text) as ChannelMessage;
    const { key, from, seq, is, version } = message;
    const isFine =
      typeof key === 'string' &&
      typeof from === 'string' &&
      typeof is === 'string' &&
      Number.isSafeInteger(seq) &&
      (version === null || (Number.isSafeInteger(version.epoch) && Number.isSafeInteger(version.n)));
    return isFine ? message : null;
  } catch {
    return null;
  }
}
