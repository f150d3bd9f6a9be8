/** What the driver of servers measures of itself (R6). */
import { type Clock, type IoMetric, LatencyHistogram, type Log } from '../../../runtime/index.ts';
import { DATA_OPS, type DataOp } from '../ops.ts';
import type { Batch } from './batch.ts';

const LOG_MS = 1000;

export class ServerMeters {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #slowMs: number;
  readonly #seconds = new LatencyHistogram();
  readonly #operations: Map<DataOp['op'], number> = new Map([...DATA_OPS].map(op => [op, 0]));
  #slow = 0;
  #loggedAt = Number.NEGATIVE_INFINITY;
  hits = 0;
  misses = 0;
  errors = 0;
  reconnects = 0;
  received = 0;
  /** Times that the connection of subscriptions was lost. */
  losses = 0;
  /** Asks that wait for a server. */
  pending = 0;

  constructor(clock: Clock, log: Log, slowMs: number) {
    this.#clock = clock;
    this.#log = log;
    this.#slowMs = slowMs;
  }

  asked(op: DataOp['op']): void {
    this.#operations.set(op, (this.#operations.get(op) ?? 0) + 1);
  }

  found(values: readonly unknown[], isFound: (value: unknown) => boolean): void {
    for (const value of values)
      if (isFound(value)) this.hits++;
      else this.misses++;
  }

  answered({ asks, keys, bytes }: Batch, ms: number): void {
    this.#seconds.record(Math.round(ms * 1000));
    if (ms < this.#slowMs) return;
    this.#slow++;
    const now = this.#clock.now();
    if (now - this.#loggedAt < LOG_MS) return;
    this.#loggedAt = now;
    this.#log.warn({ ms: Math.round(ms), asks, keys: keys.length, bytes }, 'a batch of asks was slow');
  }

  metrics(): readonly IoMetric[] {
    return [
      ...[...this.#operations].map(
        ([op, value]): IoMetric => ({ name: 'redis_operations_total', labels: { op }, value }),
      ),
      { name: 'redis_batch_seconds', value: this.#seconds.words },
      { name: 'redis_hit_total', value: this.hits },
      { name: 'redis_miss_total', value: this.misses },
      { name: 'redis_error_total', value: this.errors },
      { name: 'redis_slow_total', value: this.#slow },
      { name: 'redis_pending', value: this.pending },
      { name: 'redis_reconnects_total', value: this.reconnects },
      { name: 'redis_message_received_total', value: this.received },
      { name: 'redis_subscription_lost_total', value: this.losses },
    ];
  }
}
