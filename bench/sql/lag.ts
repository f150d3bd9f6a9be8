/** The main job with its three servers on loopback: how long a change takes from its commit to topic and replica. */
import { CONTROL_TOPIC, DATA_TOPIC } from '../../actors/sync/index.ts';
import type { Case } from '../lib/contest.ts';
import type { Row } from '../lib/rows.ts';
import { median, spread } from '../lib/stats.ts';
import { Broker } from '../pulsar/broker.ts';
import { RedisServer } from '../redis/server.ts';
import { once, several } from '../sync/pipeline.ts';
import { withServer } from './server.ts';

const RATE = 1000;
/** Runs that are not counted: a broker that was just started compiles its code in them. */
const WARM = 2;

export const lag: Case = {
  name: 'lag',
  about:
    'examples/sync at 1,000 changes a second with the SQL Server of the tests, a Redis and a Pulsar on the same two cores, each a process of its own; looks every 50 ms. The first two runs are not counted: the broker has just been started. A run counts only if table, cache and replica have equal checksums. From the commit in the source to the topic, and to the replica.',
  async run(bench) {
    const [broker, redis] = await Promise.all([Broker.running(), RedisServer.running()]);
    const warm = bench.quick ? 0 : WARM;
    const all = await several(bench, '1,000 a second', bench.quick ? 1 : WARM + 5, async () => {
      await redis.ask('FLUSHALL');
      for (const topic of [DATA_TOPIC, CONTROL_TOPIC])
        await fetch(`${broker.admin}/admin/v2/persistent/public/default/${topic}?force=true`, { method: 'DELETE' });
      return withServer(server =>
        once(RATE, bench.quick ? 5000 : 20_000, [
          `io.sql.url=${server.url}`,
          'io.sql.tls.disabled=true',
          `io.redis.url=${redis.url}`,
          `io.pulsar.url=${broker.url}`,
          `io.pulsar.adminUrl=${broker.admin}`,
        ]),
      );
    });
    const runs = all.slice(warm);
    const row = (metric: string, values: number[], atMost?: number): Row => ({
      suite: bench.suite,
      case: 'lag',
      by: 'keymill',
      metric,
      unit: 'ms',
      better: 'lower',
      value: median(values),
      spread: spread(values),
      samples: values,
      ...(atMost === undefined ? {} : { target: { of: 'value', atMost } }),
    });
    return [
      row(
        'to the topic, p50',
        runs.map(one => one.hops.published.p50),
      ),
      row(
        'to the topic, p99',
        runs.map(one => one.hops.published.p99),
      ),
      row(
        'to the replica, p50',
        runs.map(one => one.lag.p50),
      ),
      row(
        'to the replica, p99',
        runs.map(one => one.lag.p99),
        250,
      ),
    ];
  },
};
