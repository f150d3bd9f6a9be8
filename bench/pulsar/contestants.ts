/** Who takes part: our wire client, and the official clients for Java and, from Python, for C++. */

import { reasonOf } from '../../scripts/services/service.ts';
import { Child, withChildren } from '../lib/child.ts';
import type { Bench, Contestant } from '../lib/contest.ts';
import type { Row } from '../lib/rows.ts';
import { Broker } from './broker.ts';
import type { Consuming, Publishing } from './load.ts';

export const OURS = 'keymill';
export const JAVA = 'Java';
export const CPP = 'C++ from Python';

const OURS_MODULE = new URL('ours.ts', import.meta.url);
const LINES_MODULE = new URL('rivals/lines.ts', import.meta.url);
const PYTHON_CLIENT = new URL('rivals/bench_client.py', import.meta.url).pathname;
const JVM = ['-Xms1g', '-Xmx1g', '-XX:MaxDirectMemorySize=1g'];

export function ours({ url, admin }: Broker, name = OURS): Contestant {
  return { name, open: () => Child.open(OURS_MODULE, { url, admin }) };
}

export function java({ url, java: has }: Broker, name = JAVA): Contestant[] {
  if (has === null) return [];
  const args = [...JVM, '-cp', has.classPath, 'BenchClient', url];
  return [{ name, open: () => Child.open(LINES_MODULE, { command: 'java', args }) }];
}

export function cpp({ url, python }: Broker): Contestant[] {
  if (python === null) return [];
  return [{ name: CPP, open: () => Child.open(LINES_MODULE, { command: python, args: [PYTHON_CLIENT, url] }) }];
}

/** No rows where there is no broker, and on stderr why. */
export async function withBroker(bench: Bench, use: (broker: Broker) => Promise<Row[]>): Promise<Row[]> {
  bench.progress('the broker starts');
  let broker: Broker;
  try {
    broker = await Broker.running();
  } catch (error) {
    process.stderr.write(`${bench.suite}: skipped: ${reasonOf(error)}\n`);
    return [];
  }
  bench.progress('the broker warms up');
  warmed ??= warm(broker);
  await warmed;
  return use(broker);
}

let warmed: Promise<void> | undefined;

/** The broker's code is compiled by this, whoever comes first. */
async function warm(broker: Broker): Promise<void> {
  await withChildren([ours(broker).open], async ([child]) => {
    for (const batch of [1000, 100, 1000, 100]) {
      const topic = await broker.topic();
      const load = {
        topic,
        messages: 100_000,
        bytes: 200,
        batch,
        batchBytes: 1024 * 1024,
        keys: 0,
        by: 'any',
      } as const;
      await child!.call('publish', load satisfies Publishing);
      const consuming = {
        topic,
        subscription: 'warm',
        type: 'Exclusive',
        messages: 100_000,
        prefetch: 10_000,
      } as const;
      await child!.call('consume', consuming satisfies Consuming);
      await broker.drop(topic);
    }
  });
}
