/** The asks of a `pulsar` I/O actor as they cross threads, and their replies. What the client makes of them is in client.ts. */
import type { ErrorClass, ErrorCode } from '../../runtime/index.ts';
import type { ConsumerOptions, InMessage, MessageId, OutMessage, ReaderOptions } from './contract.ts';
import { topicName } from './topic-name.ts';

/**
 * Consumers and readers live in the I/O thread, as sessions that are polled. A poll waits for messages, and is answered
 * without any after a while; `settle` acknowledges, and says goodbye.
 */
export type PulsarOp =
  | {
      readonly op: 'publish';
      readonly topic: string;
      readonly messages: readonly OutMessage[];
      readonly epoch?: number | undefined;
    }
  | { readonly op: 'create'; readonly topic: string; readonly partitions: number }
  | { readonly op: 'stats'; readonly topic: string }
  | { readonly op: 'consume'; readonly options: ConsumerOptions }
  | { readonly op: 'read'; readonly options: ReaderOptions }
  | { readonly op: 'poll'; readonly session: string; readonly isUpToEnd: boolean }
  | { readonly op: 'settle'; readonly session: string; readonly ids: readonly MessageId[]; readonly isLast: boolean };

export type OpenOp = Extract<PulsarOp, { readonly op: 'consume' | 'read' }>;

/** Refused for a reason that is the asker's, not the bus': a value, or the retries and the breaker would count it. */
interface Refused {
  readonly refused: { readonly code: ErrorCode; readonly class: ErrorClass; readonly message: string };
}

export type Opened = { readonly session: string } | Refused;

/** The session is not there, or not any more: its client must open another. */
interface Gone {
  readonly isGone: true;
}

export type Polled = Gone | { readonly messages: readonly InMessage[]; readonly isEnd: boolean };

export type Settled = Gone | { readonly isGone: false };

/**
 * What has the same key is done in order: publishes of a topic, and its making. Each poll has one to itself, so that it
 * keeps nobody waiting; acknowledgements do not wait for the poll of their own session either.
 */
export function keyOf(ask: unknown): string {
  const op = ask as Partial<PulsarOp> | null;
  switch (op?.op) {
    case 'publish':
    case 'create':
      return `topic ${spelt(op.topic)}`;
    case 'stats':
      return 'stats';
    case 'consume':
      return `consume ${op.options?.subscription}`;
    case 'read':
      return `read ${op.options?.topic}`;
    case 'poll':
      return `poll ${op.session}`;
    case 'settle':
      return `settle ${op.session}`;
    default:
      return '';
  }
}

export function isPulsarOp(ask: unknown): ask is PulsarOp {
  return keyOf(ask) !== '';
}

/** One topic may be spelt in three ways. */
function spelt(topic: unknown): string {
  try {
    return topicName(String(topic)).full;
  } catch {
    return String(topic); // its publish says what is wrong
  }
}
