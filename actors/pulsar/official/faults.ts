/** What the official client rejects with, in keymill's codes: it tells what went wrong by a name at the end of a text. */
import { asError, type ErrorClass, type ErrorCode, KeymillError } from '../../../runtime/index.ts';

const FAULTS: Readonly<Record<string, readonly [ErrorCode, ErrorClass]>> = {
  AuthenticationError: ['ACCESS_REFUSED', 'fatal'],
  AuthorizationError: ['ACCESS_REFUSED', 'fatal'],
  ErrorGettingAuthenticationData: ['ACCESS_REFUSED', 'transient'],
  ConsumerBusy: ['CONSUMER_BUSY', 'transient'],
  ConsumerAssignError: ['CONSUMER_BUSY', 'fatal'],
  IncompatibleSchema: ['SCHEMA_REFUSED', 'fatal'],
  InvalidConfiguration: ['CONFIG_INVALID', 'fatal'],
  InvalidTopicName: ['TOPIC_INVALID', 'fatal'],
  InvalidUrl: ['CONFIG_INVALID', 'fatal'],
  MessageTooBig: ['MESSAGE_TOO_LARGE', 'fatal'],
  ProducerBlockedQuotaExceededError: ['QUOTA_EXCEEDED', 'transient'],
  ProducerBlockedQuotaExceededException: ['QUOTA_EXCEEDED', 'transient'],
  ProducerBusy: ['PRODUCER_BUSY', 'transient'],
  ProducerFenced: ['PRODUCER_FENCED', 'fatal'],
  TopicNotFound: ['TOPIC_MISSING', 'fatal'],
  TopicTerminated: ['TOPIC_TERMINATED', 'fatal'],
};

/** `Failed to create producer: ProducerBusy`; some names begin with Result. */
const NAME = /(?:^|: )(?:Result)?(\w+)$/;

/** `at`: the topic it is about. `fallback`: for what keymill has no code for. */
export function nativeFault(error: unknown, at: string, fallback: ErrorCode = 'IO_FAILED'): KeymillError {
  if (error instanceof KeymillError) return error;
  const { message } = asError(error);
  const name = NAME.exec(message)?.[1] ?? '';
  const known = Object.hasOwn(FAULTS, name) ? FAULTS[name] : undefined;
  const options = { cause: error, place: { at } };
  if (!known) return new KeymillError(fallback, `${at}: ${message}`, options);
  return new KeymillError(known[0], `${at}: ${message}`, { ...options, class: known[1] });
}
