/** What a broker answers that went wrong, in keymill's codes (reference/pulsar.md 2.9), and what is done about it. */
import { type Clock, type ErrorClass, type ErrorCode, isKeymillError, KeymillError } from '../../../runtime/index.ts';
import { SERVER_ERRORS } from './codec/commands.ts';

/** Of what is asked again: in all, and before the second time. */
const TRIES = 5;
const FIRST_PAUSE_MS = 50;

const FAULTS: Readonly<Record<string, readonly [ErrorCode, ErrorClass]>> = {
  AuthenticationError: ['ACCESS_REFUSED', 'fatal'],
  AuthorizationError: ['ACCESS_REFUSED', 'fatal'],
  ConsumerBusy: ['CONSUMER_BUSY', 'transient'],
  ConsumerAssignError: ['CONSUMER_BUSY', 'fatal'],
  ProducerBlockedQuotaExceededError: ['QUOTA_EXCEEDED', 'transient'],
  ProducerBlockedQuotaExceededException: ['QUOTA_EXCEEDED', 'transient'],
  TopicNotFound: ['TOPIC_MISSING', 'fatal'],
  TopicTerminatedError: ['TOPIC_TERMINATED', 'fatal'],
  ProducerBusy: ['PRODUCER_BUSY', 'transient'],
  ProducerFenced: ['PRODUCER_FENCED', 'fatal'],
  InvalidTopicName: ['TOPIC_INVALID', 'fatal'],
  IncompatibleSchema: ['SCHEMA_REFUSED', 'fatal'],
  UnsupportedVersionError: ['IO_FAILED', 'fatal'],
  NotAllowedError: ['IO_FAILED', 'fatal'],
  SubscriptionNotFound: ['IO_FAILED', 'fatal'],
  TooManyRequests: ['IO_FAILED', 'throttled'],
};

/** Some errors come as a more general one; their text tells. */
const BY_TEXT: readonly (readonly [RegExp, ErrorCode, ErrorClass])[] = [
  [/attempting to unsubscribe/, 'CONSUMER_BUSY', 'transient'],
  [
    /NamespaceNotFound|Namespace not found|Policies not found|[Nn]amespace .* (does not|doesn't) exist/,
    'TOPIC_MISSING',
    'fatal',
  ],
  [/Topic (does not exist|not found)/i, 'TOPIC_MISSING', 'fatal'],
];

/** `at`: the topic or broker it is about. */
export function serverFault(code: number, text: string, at: string): KeymillError {
  const name = SERVER_ERRORS[code] ?? `error ${code}`;
  const [keymillCode, errorClass] = FAULTS[name] ?? textFault(text) ?? ['IO_FAILED', 'transient'];
  const [line = ''] = text.split('\n');
  return new KeymillError(keymillCode, `${at}: ${name}${line === '' ? '' : `: ${line}`}`, {
    class: errorClass,
    place: { at },
  });
}

function textFault(text: string): readonly [ErrorCode, ErrorClass] | undefined {
  const found = BY_TEXT.find(([pattern]) => pattern.test(text));
  return found && [found[1], found[2]];
}

/** The connection was lost, or could not be made. */
export function lostFault(at: string, why: string, cause?: unknown): KeymillError {
  return new KeymillError('IO_FAILED', `${at}: ${why}`, { cause, place: { at } });
}

/** Asks again, after growing pauses, where the broker refused in passing or the connection was lost. */
export async function insist<T>(clock: Clock, ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++)
    try {
      return await ask();
    } catch (error) {
      if (tries === TRIES || !isKeymillError(error, 'IO_FAILED') || error.class !== 'transient') throw error;
      await new Promise<void>(resolve => clock.after(FIRST_PAUSE_MS * 2 ** (tries - 1), resolve));
    }
}
