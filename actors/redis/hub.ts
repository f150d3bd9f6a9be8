/**
 * Who hears what in this process. A subscription has a queue here, and whoever it belongs to polls it: a poll waits until
 * there is something, at most POLL_MS. What was given is kept until the next poll says that it came, since a reply may be
 * lost. A queue is bounded; what does not fit is counted, and told where it is missing. A subscription that nobody polls
 * for IDLE_MS is dropped: its thread is gone, or its reader stands still for so long that it must look anew anyway.
 */
import { type Environment, KeymillError, type Timer } from '../../runtime/index.ts';
import type { Published, RedisRead, RedisValue } from './contract.ts';
import { globMatcher } from './glob.ts';
import type { PollReply } from './ops.ts';

/** Well below the time-out of the I/O policy, 30 s. */
export const POLL_MS = 10_000;
export const IDLE_MS = 120_000;
/** Each holds one of the 1024 batches that an I/O actor may have in flight; the data must never want for one. */
export const MOST_SUBSCRIPTIONS = 512;

export interface HubLimits {
  /** Messages that may wait for one subscriber, and their bytes. */
  readonly maxMessages: number;
  readonly maxBytes: number;
}

type Queued = Published | { readonly lost: number | 'unknown' };

export interface Subscriber {
  readonly id: string;
  readonly what: RedisRead;
  readonly hears: (channel: string) => boolean;
  queue: Queued[];
  messages: number;
  bytes: number;
  /** The last reply, until the next poll shows that it came. */
  sent: PollReply;
  seq: number;
  /** Ends the poll that waits. */
  wake: (() => void) | null;
  /** End of its last poll, by `clock.now()`. */
  seenAt: number;
}

/** A message on its way, and who subscribed when it was published. */
export interface Delivery {
  readonly to: readonly Subscriber[];
  readonly published: Published;
}

export class Hub {
  readonly #name: string;
  readonly #environment: Environment;
  readonly #limits: HubLimits;
  /** Ids of a hub in another life of this thread are not known in this one. */
  readonly #birth: string;
  #made = 0;
  readonly #subscribers = new Map<string, Subscriber>();
  readonly #byChannel = new Map<string, Set<Subscriber>>();
  readonly #byPattern = new Set<Subscriber>();
  #timer: Timer | null = null;
  #isClosed = false;
  #isDraining = false;
  /** Told what nobody of this process hears any more. */
  onUnheard: ((what: RedisRead) => void) | null = null;

  /** `name`: the I/O actor's, for errors. */
  constructor(name: string, environment: Environment, limits: HubLimits) {
    this.#name = name;
    this.#environment = environment;
    this.#limits = limits;
    this.#birth = `${Math.floor(environment.clock.wall())}-${Math.floor(environment.random() * 2 ** 32)}`;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Returns the id. Throws BULKHEAD_FULL, RUNTIME_STOPPED. */
  open(what: RedisRead): string {
    if (this.#isClosed) throw new KeymillError('RUNTIME_STOPPED', `io.${this.#name} was closed`);
    if (this.#subscribers.size >= MOST_SUBSCRIPTIONS)
      throw new KeymillError('BULKHEAD_FULL', `io.${this.#name} has ${MOST_SUBSCRIPTIONS} subscriptions, the most`);
    const id = `${this.#birth}.${++this.#made}`;
    const one: Subscriber = {
      id,
      what,
      hears: 'pattern' in what ? globMatcher(what.pattern) : () => true,
      queue: [],
      messages: 0,
      bytes: 0,
      sent: null,
      seq: 0,
      wake: null,
      seenAt: this.#environment.clock.now(),
    };
    this.#subscribers.set(id, one);
    if ('pattern' in what) this.#byPattern.add(one);
    else {
      const others = this.#byChannel.get(what.channel);
      if (others) others.add(one);
      else this.#byChannel.set(what.channel, new Set([one]));
    }
    this.#timer ??= this.#environment.clock.after(IDLE_MS / 2, () => this.#dropIdle());
    return id;
  }

  /** Ends its poll too. Nothing where there is none of this id. */
  drop(id: string): void {
    const one = this.#subscribers.get(id);
    if (!one) return;
    this.#subscribers.delete(id);
    if ('channel' in one.what) {
      const others = this.#byChannel.get(one.what.channel)!;
      others.delete(one);
      if (others.size === 0) this.#byChannel.delete(one.what.channel);
    } else this.#byPattern.delete(one);
    one.wake?.();
    if (this.onUnheard !== null && !this.hears(one.what)) this.onUnheard(one.what);
  }

  /** Whether anybody subscribes to just this. */
  hears(what: RedisRead): boolean {
    if ('channel' in what) return this.#byChannel.has(what.channel);
    for (const one of this.#byPattern) if ('pattern' in one.what && one.what.pattern === what.pattern) return true;
    return false;
  }

  /** Whatever anybody subscribes to, each once. */
  heard(): RedisRead[] {
    const patterns = new Set([...this.#byPattern].map(({ what }) => ('pattern' in what ? what.pattern : '')));
    return [
      ...[...this.#byChannel.keys()].map(channel => ({ channel })),
      ...[...patterns].map(pattern => ({ pattern })),
    ];
  }

  /** A message that a server gave for this subscription of the process. */
  give(published: Published, what: RedisRead): void {
    const to =
      'channel' in what
        ? [...(this.#byChannel.get(what.channel) ?? [])]
        : [...this.#byPattern].filter(one => 'pattern' in one.what && one.what.pattern === what.pattern);
    this.deliver([{ to, published }]);
  }

  /** Everybody may have missed something. */
  miss(): void {
    for (const one of this.#subscribers.values()) {
      const last = one.queue.at(-1);
      if (last !== undefined && 'lost' in last) one.queue[one.queue.length - 1] = { lost: 'unknown' };
      else one.queue.push({ lost: 'unknown' });
      one.wake?.();
    }
  }

  /** Who would hear what is published on this channel now. */
  audience(channel: string): readonly Subscriber[] {
    const found = [...(this.#byChannel.get(channel) ?? [])];
    for (const one of this.#byPattern) if (one.hears(channel)) found.push(one);
    return found;
  }

  deliver(deliveries: readonly Delivery[]): void {
    const woken = new Set<Subscriber>();
    for (const { to, published } of deliveries)
      for (const one of to) {
        this.#push(one, published);
        woken.add(one);
      }
    for (const one of woken) one.wake?.();
  }

  /** What has come after the reply `after`, as soon as there is something; nothing at the end of POLL_MS. */
  poll(id: string, after: number, signal: AbortSignal): Promise<PollReply> {
    const one = this.#subscribers.get(id);
    if (this.#isDraining)
      return Promise.reject(new KeymillError('RUNTIME_STOPPED', `io.${this.#name} waits for nothing more`));
    if (!one) return Promise.resolve(null);
    one.wake?.(); // asked for again: nobody waits for the former
    one.seenAt = this.#environment.clock.now();
    if (one.sent !== null && after < one.sent.seq) return Promise.resolve(one.sent);
    one.sent = null;
    if (one.queue.length > 0 || signal.aborted) return Promise.resolve(take(one));
    return new Promise(resolve => {
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', end);
        one.wake = null;
        one.seenAt = this.#environment.clock.now();
        resolve(this.#subscribers.has(id) ? take(one) : null);
      };
      const timer = this.#environment.clock.after(POLL_MS, end);
      signal.addEventListener('abort', end, { once: true });
      one.wake = end;
    });
  }

  /** Ends all polls, and refuses further ones. */
  drain(): void {
    this.#isDraining = true;
    for (const one of this.#subscribers.values()) one.wake?.();
  }

  /** Drops all. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = null;
    for (const id of [...this.#subscribers.keys()]) this.drop(id);
  }

  #push(one: Subscriber, published: Published): void {
    const bytes = sizeOf(published);
    const last = one.queue.at(-1);
    const isFull =
      one.messages >= this.#limits.maxMessages || (one.messages > 0 && one.bytes + bytes > this.#limits.maxBytes);
    // Once one did not fit all are lost until the next poll, so that their place is known.
    if (isFull && last !== undefined && 'lost' in last)
      one.queue[one.queue.length - 1] = { lost: last.lost === 'unknown' ? 'unknown' : last.lost + 1 };
    else if (last !== undefined && 'lost' in last && last.lost !== 'unknown')
      one.queue[one.queue.length - 1] = { lost: last.lost + 1 };
    else if (isFull) one.queue.push({ lost: 1 });
    else {
      one.queue.push(published);
      one.messages++;
      one.bytes += bytes;
    }
  }

  #dropIdle(): void {
    this.#timer = null;
    const before = this.#environment.clock.now() - IDLE_MS;
    for (const one of [...this.#subscribers.values()]) if (one.wake === null && one.seenAt <= before) this.drop(one.id);
    if (this.#subscribers.size > 0) this.#timer = this.#environment.clock.after(IDLE_MS / 2, () => this.#dropIdle());
  }
}

function take(one: Subscriber): PollReply {
  if (one.queue.length === 0) return { seq: one.seq, heard: [] };
  const reply = { seq: ++one.seq, heard: one.queue };
  one.sent = reply;
  one.queue = [];
  one.messages = 0;
  one.bytes = 0;
  return reply;
}

/** About what a message takes in memory; text counts as two bytes a character, as it may. */
function sizeOf({ channel, message }: Published): number {
  return 64 + 2 * channel.length + bytesOf(message);
}

export function bytesOf(value: RedisValue): number {
  return typeof value === 'string' ? 2 * value.length : value.byteLength;
}
