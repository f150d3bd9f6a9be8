/** What a consumer on one topic or partition is to do. */
import type { StartPosition, SubscriptionType, TopicSchema } from '../contract.ts';
import type { Burial } from './arrivals.ts';

export interface PartitionConsumerOptions {
  readonly topic: string;
  /** -1 for a topic without partitions. */
  readonly partition: number;
  readonly subscription: string;
  readonly type: SubscriptionType;
  readonly name: string;
  readonly prefetch: number;
  readonly initialPosition: 'Earliest' | 'Latest';
  readonly nackDelayMs: number;
  readonly ackTimeoutMs: number;
  readonly schema?: TopicSchema | undefined;
  /** A reader: no subscription stays, and it begins here. */
  readonly from?: { readonly position: StartPosition; readonly isInclusive: boolean } | undefined;
  readonly bury?: Burial | undefined;
}
