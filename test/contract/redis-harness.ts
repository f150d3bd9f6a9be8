/** What the conformance suite of the `redis` I/O actor needs of a driver's store, and how it looks at what that gives. */
import type { Heard, RedisClient, RedisValue } from '../../actors/redis/index.ts';
import type { ErrorCode, Version } from '../../runtime/index.ts';
import { errorFrom } from '../support/runtimes.ts';

export interface OpenedRedis {
  readonly client: RedisClient;
  /** Another client of the same store. */
  another(): RedisClient;
  /** Lets so much time pass for the store. */
  pass(ms: number): Promise<void>;
  /** A client of the store after its process came and went. */
  reopen(): Promise<RedisClient>;
}

export interface RedisHarness {
  /** An empty store, gone when the test ends, with the options LIMITS. */
  open(): Promise<OpenedRedis>;
  /** Whether what was written is there after `reopen`. */
  readonly keeps: boolean;
}

export const LIMITS = { maxValueBytes: 4096, versionsMs: 60_000 } as const;

export const BYTES = Uint8Array.of(0, 1, 127, 128, 255);
export const v = (n: number, epoch = 1): Version => ({ epoch, n });
/** Long beside what a command takes, also on a real server. */
export const SHORT_MS = 200;

/** Text as it is, bytes as an array of numbers. */
export const picture = (value: RedisValue | null | undefined) =>
  value instanceof Uint8Array ? [...value] : (value ?? null);

export async function codeFrom(promise: Promise<unknown>): Promise<ErrorCode> {
  return (await errorFrom(promise)).code;
}

export async function heardBy(messages: AsyncIterator<Heard>): Promise<unknown> {
  const { done, value } = await messages.next();
  if (done) return 'the end';
  return 'lost' in value ? value : [value.channel, picture(value.message)];
}

export async function all<T>(found: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const one of found) list.push(one);
  return list;
}
