/**
 * What is asked of every contestant, in words that travel as JSON, and what it says afterwards. Message n carries the number
 * n % DISTINCT in its first four bytes, lowest last; the rest is the same in all. So each side can see that what came is what
 * was sent, in order where that is promised, without making a payload for each message while the clock runs.
 */

/** Payloads that are made beforehand. */
export const DISTINCT = 1024;
/** Messages that may be under way. */
export const IN_FLIGHT = 20_000;

export interface Publishing {
  readonly topic: string;
  readonly messages: number;
  /** Of a payload; 4 at least. */
  readonly bytes: number;
  /** Messages and bytes at which a batch leaves; one message: no batching. */
  readonly batch: number;
  readonly batchBytes: number;
  /** Message n has the key n % keys; 0 for no keys. */
  readonly keys: number;
  /** A batch for each key, or one for all. */
  readonly by: 'key' | 'any';
}

export interface Consuming {
  readonly topic: string;
  /** A new one, from the start of the topic on. */
  readonly subscription: string;
  readonly type: 'Exclusive' | 'Key_Shared';
  readonly messages: number;
  readonly prefetch: number;
}

export interface Pacing {
  readonly topic: string;
  readonly messages: number;
  readonly bytes: number;
  /** From one message to the next; 0: each when the one before it has come. */
  readonly gapUs: number;
  /** Off: each message by itself, at once. */
  readonly batching: boolean;
}

export interface Run {
  /** Confirmed one by one, or received and acknowledged one by one. */
  readonly messages: number;
  /** From the first send to the last confirmation; from subscribing to the last acknowledgement. */
  readonly ns: number;
  /** CPU of the whole process of the client meanwhile, µs. */
  readonly cpuUs: number;
  /** Sum of the numbers in what was received. */
  readonly sum: number;
  /** Messages whose number does not follow that of the message before. */
  readonly disorder: number;
}

export interface Paced {
  /** From the call to send to the hand of the receiver, µs, one a message. */
  readonly us: readonly number[];
}

/** Of the numbers of so many messages. */
export function sumOf(messages: number): number {
  const rest = messages % DISTINCT;
  return (Math.floor(messages / DISTINCT) * DISTINCT * (DISTINCT - 1)) / 2 + (rest * (rest - 1)) / 2;
}

/** Throws where a consumer did not get all, or not in order. */
export function checkConsumed(run: Run, messages: number, isOrdered: boolean): void {
  if (run.messages !== messages || run.sum !== sumOf(messages))
    throw new Error(`${messages} messages were sent, ${run.messages} received, with the sum ${run.sum}`);
  if (isOrdered && run.disorder > 0) throw new Error(`${run.disorder} messages came out of order`);
}

export const MESSAGES_PER_SECOND = { unit: 'messages/s', better: 'higher' } as const;
export const CPU_PER_MESSAGE = { metric: 'CPU', unit: 'µs/message', better: 'lower' } as const;

export const perSecond = ({ messages, ns }: Run): number => messages / (ns / 1e9);
export const cpuPerMessage = ({ messages, cpuUs }: Run): number => cpuUs / messages;
