/** What the driver of SQL Server measures of itself (S1). */
import { type Clock, type IoMetric, LatencyHistogram } from '../../../runtime/index.ts';

/** Why a connection was closed. */
export const CLOSE_REASONS = [
  'lost', // it ended by itself, or did not answer when it was tried
  'old', // it lived as long as it may
  'unclean', // its session could not be reset
  'idle', // nobody used it
  'stopped', // the pool closes
] as const;

export type CloseReason = (typeof CLOSE_REASONS)[number];

export interface PoolNumbers {
  readonly open: number;
  readonly used: number;
  readonly waiting: number;
}

export class MssqlMeters {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #acquire = new LatencyHistogram();
  readonly #bulk = new LatencyHistogram();
  readonly #closed = new Map<CloseReason, number>(CLOSE_REASONS.map(reason => [reason, 0]));
  #opened = 0;
  #bulkRows = 0;
  #bulkBytes = 0;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  opened(): void {
    this.#opened++;
  }

  closed(reason: CloseReason): void {
    this.#closed.set(reason, this.#closed.get(reason)! + 1);
  }

  /** Times how long a connection is waited for; only those that came count. */
  async acquire<C>(acquiring: Promise<C>): Promise<C> {
    const began = this.#clock.now();
    const connection = await acquiring;
    this.#acquire.record((this.#clock.now() - began) * 1000);
    return connection;
  }

  /** Times a bulk load, which tells how many bytes it sent; only one that was done counts. */
  async bulk(rows: number, loading: Promise<number>): Promise<void> {
    const began = this.#clock.now();
    this.#bulkBytes += await loading;
    this.#bulkRows += rows;
    this.#bulk.record((this.#clock.now() - began) * 1000);
  }

  metrics({ open, used, waiting }: PoolNumbers): readonly IoMetric[] {
    return [
      { name: 'sql_pool_connections', labels: { state: 'used' }, value: used },
      { name: 'sql_pool_connections', labels: { state: 'free' }, value: open - used },
      { name: 'sql_pool_waiting', value: waiting },
      { name: 'sql_pool_opened_total', value: this.#opened },
      ...[...this.#closed].map(
        ([reason, value]): IoMetric => ({ name: 'sql_pool_closed_total', labels: { reason }, value }),
      ),
      { name: 'sql_pool_acquire_seconds', value: this.#acquire.words },
      { name: 'sql_bulk_rows_total', value: this.#bulkRows },
      { name: 'sql_bulk_bytes_total', value: this.#bulkBytes },
      { name: 'sql_bulk_seconds', value: this.#bulk.words },
    ];
  }
}
