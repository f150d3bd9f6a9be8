/**
 * Retry letters (P9), above the drivers and alike for all of them: a message that shall come again later is published onto
 * a topic of its own, with a delay, and the consumer reads that one too. Names and properties are the official clients'
 * (reference/pulsar.md 5), so that theirs and ours can share a subscription.
 */
import { KeymillError } from '../../runtime/index.ts';
import type { ConsumeOptions, InMessage, OutMessage, RetryLetterPolicy } from './contract.ts';
import { deadLetterTopic, retryLetterTopic } from './topic-name.ts';

const TIMES = 'RECONSUMETIMES';
const DELAY = 'DELAY_TIME';
const REAL_TOPIC = 'REAL_TOPIC';
const ORIGIN = 'ORIGIN_MESSAGE_ID';

const DEFAULT_TIMES = 3;
const DEFAULT_DELAY_MS = 60_000;

export interface RetryLetters {
  /** What is consumed beside the topics. */
  readonly topic: string;
  /** Where it goes now: again for `delayMs`, or to the dead letters where it came too often, or at once with `isDead`. */
  letterOf(message: InMessage, delayMs: number | undefined, isDead: boolean): { topic: string; message: OutMessage };
}

/** Throws ACK_REFUSED where it would break the order of a key (DESIGN rule 15), TOPIC_INVALID. */
export function retryLettersOf(
  policy: RetryLetterPolicy,
  { type, subscription, pattern }: ConsumeOptions,
  topics: readonly string[],
): RetryLetters {
  const refused = (why: string) => new KeymillError('ACK_REFUSED', `retryLetter of ${subscription}: ${why}`);
  if (type !== 'Shared') throw refused(`a ${type} subscription keeps order, and a later retry would break it`);
  const first = topics[0];
  if (pattern !== undefined || first === undefined) throw refused('it needs a topic, not a pattern');
  const { maxRedeliver = DEFAULT_TIMES, delayMs: usual = DEFAULT_DELAY_MS } = policy;
  const topic = policy.topic ?? retryLetterTopic(first, subscription);
  const dead = policy.deadLetterTopic ?? deadLetterTopic(first, subscription);
  return {
    topic,
    letterOf(message, delayMs = usual, isDead) {
      const times = timesOf(message) + 1;
      const { payload, key, orderingKey, eventTime, properties } = message;
      const isLast = isDead || times > maxRedeliver;
      return {
        topic: isLast ? dead : topic,
        message: {
          payload,
          key: key ?? undefined,
          orderingKey: orderingKey ?? undefined,
          eventTime: eventTime ?? undefined,
          properties: {
            [REAL_TOPIC]: message.topic,
            [ORIGIN]: message.id,
            ...properties, // of its first topic, where it came by the retry topic
            [TIMES]: String(times),
            ...(isLast ? {} : { [DELAY]: String(delayMs) }),
          },
          deliverAt: isLast || delayMs <= 0 ? undefined : Date.now() + delayMs,
        },
      };
    },
  };
}

/** How often it came by the retry topic. What somebody else wrote there is no number of ours. */
function timesOf({ properties }: InMessage): number {
  const times = Number(properties[TIMES] ?? 0);
  return Number.isSafeInteger(times) && times > 0 ? times : 0;
}
