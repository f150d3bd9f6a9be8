/**
 * The one table of metrics. The registry makes its metrics from it, docs/reference/metrics.md is rendered from it, and
 * a test holds it and the text of /metrics together. A name, once published, keeps its meaning.
 *
 * Labels are bounded by the topology and the machine: actor, source, policy, thread, and the words of a fixed list.
 * Keys of messages are never labels; the hot keys are in /health. Actor metrics are summed over threads, so that their
 * number does not grow with the cores.
 */

export type MetricType = 'counter' | 'gauge' | 'summary';

export interface MetricRow {
  readonly type: MetricType;
  /** The unit of a value; `1` is a bare number, `0/1` a truth value. */
  readonly unit: string;
  readonly labels: readonly string[];
  readonly help: string;
  /** Where the name comes from: a section of the seed, a feature of PRODUCT.md, or `OTel`. */
  readonly source: string;
}

/** Quantiles of every summary, as the values of its `quantile` label. */
export const QUANTILES = ['0.5', '0.95', '0.99'] as const;

const ACTOR = ['actor'] as const;
const SOURCE = ['source'] as const;
const POLICY = ['policy'] as const;
/** `kind` is main, host or io, and does not change for a thread. */
const THREAD = ['thread', 'kind'] as const;
const IO = ['io'] as const;
/** Attributes that OpenTelemetry's messaging conventions ask for, in Prometheus spelling. */
const OTEL = ['messaging_system', 'messaging_operation_name', 'messaging_destination_name'] as const;

const counter = (unit: string, labels: readonly string[], source: string, help: string): MetricRow => ({
  type: 'counter',
  unit,
  labels,
  help,
  source,
});
const gauge = (unit: string, labels: readonly string[], source: string, help: string): MetricRow => ({
  type: 'gauge',
  unit,
  labels,
  help,
  source,
});
const summary = (unit: string, labels: readonly string[], source: string, help: string): MetricRow => ({
  type: 'summary',
  unit,
  labels,
  help,
  source,
});

export const METRICS = {
  items_processed_total: counter('messages', ACTOR, '9.9', 'Messages that were handled and settled as done.'),
  items_processed_per_second: gauge('messages/s', ACTOR, '9.9', 'Messages settled as done per second.'),
  batches_processed_total: counter('batches', ACTOR, '9.9', 'Batches given to handlers.'),
  batch_size_avg: gauge('messages', ACTOR, '9.9', 'Average size of the latest batches.'),
  batch_queueing_latency_ms: summary('ms', ACTOR, '9.9', 'Time a message waited in its mailbox.'),
  batch_processing_latency_ms: summary('ms', ACTOR, '9.9', 'Time one handler call took.'),
  item_end_to_end_latency_ms: summary('ms', ACTOR, '9.9', 'Time from accepting a message to settling it.'),
  queue_depth: gauge('messages', ACTOR, '9.9', 'Messages in the mailboxes of the actor.'),
  queue_utilization: gauge('percent', ACTOR, '9.9', 'Depth of the deepest mailbox in percent of what a mailbox holds.'),
  queue_enqueue_rate: gauge('messages/s', ACTOR, '9.9', 'Messages that entered mailboxes per second.'),
  queue_dequeue_rate: gauge('messages/s', ACTOR, '9.9', 'Messages that left mailboxes for a handler per second.'),
  batch_worker_cpu_percent: gauge('percent', THREAD, '9.9', 'CPU time of the thread in percent of one core.'),
  batch_worker_memory_mb: gauge('MiB', THREAD, '9.9', 'Heap the thread uses.'),
  batch_worker_gc_gen0_count: counter('collections', THREAD, '9.9', 'Scavenges, the young collections of V8.'),
  batch_worker_gc_gen2_count: counter('collections', THREAD, '9.9', 'Mark-sweeps, the full collections of V8.'),

  keymill_oldest_unsettled_age_seconds: gauge(
    'seconds',
    ['kind', 'name'],
    'O8',
    'Age of the oldest message of a source or actor that is not settled, 0 when there is none.',
  ),
  keymill_messages_settled_total: counter(
    'messages',
    ['actor', 'outcome'],
    'D1',
    'Messages settled, by outcome: done, dead, dropped.',
  ),
  keymill_dropped_total: counter('messages', ['actor', 'reason'], 'E5', 'Messages dropped, by reason.'),
  keymill_retries_total: counter('messages', ACTOR, 'D2', 'Retries after a failure.'),
  keymill_repeats_total: counter('messages', ACTOR, 'D1', 'Messages given to a handler again, for whatever reason.'),
  keymill_timeouts_total: counter('calls', ACTOR, 'E8', 'Handler calls that ran out of their time.'),
  keymill_batch_trigger_total: counter(
    'batches',
    ['actor', 'trigger'],
    'B2',
    'Batches by what cut them: size, depth, time, drain, solo.',
  ),
  keymill_resident_keys: gauge('keys', ACTOR, 'E7', 'Keys in memory.'),
  keymill_passivated_total: counter('keys', ACTOR, 'E7', 'Keys that left memory.'),
  keymill_parked_total: counter('messages', ACTOR, 'D11', 'Messages parked.'),
  keymill_actor_restarts_total: counter('restarts', ACTOR, 'D6', 'Restarts of the actor by its supervision.'),

  keymill_observed_seconds: summary(
    'seconds',
    ['actor', 'name'],
    'O3',
    'Times that handlers measured with ctx.observe, by the name they gave.',
  ),

  keymill_host_restarts_total: counter('restarts', ['cause'], 'D4', 'Hosts replaced, by cause.'),
  keymill_host_heap_used_bytes: gauge('bytes', THREAD, 'O2', 'Heap the thread uses.'),
  keymill_host_heap_limit_bytes: gauge('bytes', THREAD, 'O2', 'Heap the thread may use.'),
  keymill_host_loop_utilization: gauge('1', THREAD, 'O2', 'Share of time, 0 to 1, that the event loop was busy.'),

  keymill_backlog_messages: gauge(
    'messages',
    THREAD,
    'E3',
    'Messages that came to a thread and wait packed in frames.',
  ),
  keymill_backlog_bytes: gauge('bytes', THREAD, 'E3', 'Bytes of the frames that wait packed.'),
  keymill_outbox_messages: gauge('messages', ['from', 'to'], 'E4', 'Unsettled messages in the outbox of a lane.'),
  keymill_outbox_bytes: gauge('bytes', ['from', 'to'], 'E4', 'Bytes in the outbox of a lane.'),
  keymill_lane_frames_total: counter('frames', ['from'], 'E4', 'Frames that a thread sent.'),
  keymill_lane_messages_total: counter('messages', ['from'], 'E4', 'Messages that a thread sent.'),
  keymill_lane_bytes_total: counter('bytes', ['from'], 'E4', 'Bytes that a thread sent.'),
  keymill_lane_replayed_total: counter('messages', ['from'], 'D4', 'Messages a thread sent again to a replaced one.'),

  keymill_source_given_total: counter('messages', SOURCE, 'E11', 'Messages a source gave.'),
  keymill_source_settled_total: counter(
    'messages',
    ['source', 'outcome'],
    'D1',
    'Messages of a source settled, by outcome: done, dead, dropped.',
  ),
  keymill_source_unsettled: gauge('messages', SOURCE, 'E5', 'Messages of a source that are not settled.'),
  keymill_source_position: gauge('1', SOURCE, 'E11', 'Position a source has reached.'),
  cdc_version_lag: gauge(
    'versions',
    SOURCE,
    'G6.8',
    'Versions of the database beyond what a change source has settled; above 100 the seed calls it major.',
  ),
  keymill_source_waiting: gauge('0/1', ['source', 'reason'], 'O8', '1 while a source does not read for this reason.'),

  keymill_breaker_state: gauge('0/1', ['policy', 'state'], 'X2', '1 if the breaker has this state in any thread.'),
  keymill_policy_calls_total: counter('calls', POLICY, 'X1', 'Calls made through a policy.'),
  keymill_policy_failures_total: counter('calls', POLICY, 'X1', 'Calls that failed for good.'),
  keymill_policy_retries_total: counter('calls', POLICY, 'X1', 'Calls that a policy repeated.'),
  keymill_policy_timeouts_total: counter('calls', POLICY, 'X1', 'Calls that a policy cut off.'),
  keymill_policy_rejected_total: counter('calls', POLICY, 'X2', 'Calls refused by a breaker or a bulkhead.'),

  redis_operations_total: counter('asks', ['io', 'op'], 'G6171', 'Asks of Redis, by what they are.'),
  redis_batch_seconds: summary('seconds', IO, 'R6', 'Time from sending a batch of asks to its answer.'),
  redis_hit_total: counter('keys', IO, 'G1466', 'Keys that were read and found.'),
  redis_miss_total: counter('keys', IO, 'G1456', 'Keys that were read and not found.'),
  redis_error_total: counter('asks', IO, 'G1476', 'Asks that failed; made again, they count again.'),
  redis_slow_total: counter('batches', IO, 'R6', 'Batches of asks that took longer than slowMs.'),
  redis_pending: gauge('asks', IO, 'R6', 'Asks that are not answered yet.'),
  redis_reconnects_total: counter('connections', IO, 'R6', 'Connections for asks that were made anew.'),
  redis_message_received_total: counter('messages', IO, 'G1599', 'Messages of subscriptions that came.'),
  redis_subscription_lost_total: counter(
    'connections',
    IO,
    'R4',
    'Connections of subscriptions that were lost; until the next one stands, nothing is heard.',
  ),

  pulsar_publish_attempt_total: counter('messages', IO, 'G1044', 'Messages that were to be published.'),
  pulsar_publish_success_total: counter('messages', IO, 'G1044', 'Messages that a topic has.'),
  pulsar_publish_failure_total: counter(
    'messages',
    IO,
    'G1044',
    'Messages that could not be published; asked for again, they count again.',
  ),
  pulsar_publish_seconds: summary('seconds', IO, 'P15', 'Time from asking for a publish to its confirmation.'),
  pulsar_publish_pending: gauge('messages', IO, 'P15', 'Messages that are being published.'),
  pulsar_consumer_message_received_total: counter(
    'messages',
    IO,
    'G1044',
    'Messages that consumers and readers were given.',
  ),
  pulsar_consumer_message_processed_total: counter('messages', IO, 'G1044', 'Messages that were acknowledged.'),
  pulsar_consumer_message_failed_total: counter(
    'messages',
    IO,
    'G1044',
    'Entries of topics that were corrupt, and were passed over; the log names them.',
  ),
  pulsar_consumer_message_dlq_total: counter('messages', IO, 'G1044', 'Messages published to dead-letter topics.'),
  pulsar_attachments: gauge(
    'attachments',
    ['io', 'kind', 'state'],
    'P15',
    'Producers and consumers of topics and partitions by state: connecting, ready.',
  ),
  pulsar_connections: gauge('connections', IO, 'P15', 'Connections to brokers.'),
  pulsar_requests_pending: gauge('requests', IO, 'P15', 'Requests to brokers that are not answered yet.'),
  pulsar_reconnects_total: counter(
    'attachments',
    IO,
    'P15',
    'Times that a producer or consumer had to be attached again.',
  ),

  sql_pool_connections: gauge('connections', ['io', 'state'], 'S1', 'Connections to SQL Server by state: used, free.'),
  sql_pool_waiting: gauge('asks', IO, 'S1', 'Asks that wait for a connection.'),
  sql_pool_opened_total: counter('connections', IO, 'S1', 'Connections to SQL Server that were made.'),
  sql_pool_closed_total: counter(
    'connections',
    ['io', 'reason'],
    'S1',
    'Connections that were given up, by reason: lost, old, unclean (it could not be reset), idle, stopped.',
  ),
  sql_pool_acquire_seconds: summary(
    'seconds',
    IO,
    'S1',
    'Time until an ask had a connection, with connecting and trying it; asks that got none are not in it.',
  ),
  sql_bulk_rows_total: counter('rows', IO, 'S9', 'Rows that went to SQL Server by bulk load.'),
  sql_bulk_bytes_total: counter('bytes', IO, 'S9', 'Bytes that these bulk loads sent.'),
  sql_bulk_seconds: summary(
    'seconds',
    IO,
    'S9',
    'Time of a bulk load into its temporary table; rows by seconds is its rate.',
  ),

  cache_hits_total: counter('reads', ['io', 'level'], 'R7', 'Values found, by level: l1, l2.'),
  cache_misses_total: counter('reads', IO, 'R7', 'Values found in no level.'),
  cache_stale_total: counter('reads', IO, 'R11', 'Values given beyond their life.'),
  cache_loads_total: counter('loads', IO, 'R8', 'Calls of loaders.'),
  cache_load_errors_total: counter('loads', ['io', 'kind'], 'R11', 'Loads that came to nothing: failed, timeout.'),
  cache_shared_loads_total: counter('loads', IO, 'R8', 'Loads that were waited for in place of one more.'),
  cache_refreshes_total: counter('loads', IO, 'R11', 'Values that were to be loaded anew before their end.'),
  cache_invalidations_total: counter('messages', IO, 'R10', 'Changes that threads heard of.'),
  cache_gaps_total: counter('gaps', IO, 'R10', 'Times that invalidations may have been lost, counted by each thread.'),
  cache_revalidated_total: counter('entries', IO, 'R10', 'Entries of L1 read again by their version after a gap.'),
  cache_refused_total: counter(
    'values',
    ['io', 'reason'],
    'R10',
    'Values not given, or not kept: older than what was given, overtaken by another write, too large.',
  ),
  cache_store_errors_total: counter(
    'asks',
    ['io', 'kind'],
    'R7',
    'Asks that the store did not answer (failed), or was not asked since it was away (skipped).',
  ),
  cache_owed_total: counter(
    'writes',
    ['io', 'kind'],
    'R7',
    'Writes that the store did not take: owed, paid when it was back, forgiven for want of room or since another was first.',
  ),
  cache_l1_entries: gauge('entries', IO, 'R7', 'What L1 of all threads holds.'),
  cache_l1_bytes: gauge('bytes', IO, 'R7', 'Its bytes, by packed sizes.'),
  cache_degraded_threads: gauge('threads', IO, 'R7', 'Threads for which the store is away.'),

  keymill_ready: gauge('0/1', [], 'O3', '1 when the runtime is ready.'),
  keymill_info: gauge('1', ['version', 'node'], 'O3', 'Always 1; the labels are the versions.'),

  messaging_client_consumed_messages_total: counter(
    'messages',
    OTEL,
    'OTel',
    'Messages given to handlers, repeats included.',
  ),
  messaging_process_duration_seconds: summary('seconds', OTEL, 'OTel', 'Time one handler call took.'),
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof METRICS;

/** The names of the table in its order. */
export const METRIC_NAMES = Object.keys(METRICS) as readonly MetricName[];

/** The row of a name, with the fields of every row. */
export function metricRow(name: MetricName): MetricRow {
  return METRICS[name];
}
