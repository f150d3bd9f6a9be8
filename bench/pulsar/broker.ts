/**
 * The one broker of a run, started by scripts/services.sh in a folder of its own that is gone when the run ends, with what was
 * downloaded for tests, and with all of the JVM's compilers. It also bears witness: how many messages it took, and what of them
 * is not acknowledged.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brokerJars } from '../../scripts/services/downloads.ts';
import { fromLines } from '../../scripts/services/exports.ts';
import { run } from '../../scripts/services/processes.ts';
import { reasonOf } from '../../scripts/services/service.ts';
import { sleep } from '../lib/clock.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/services.sh', import.meta.url));
const SERVICES = process.env['KEYMILL_SERVICES_DIR'] ?? fileURLToPath(new URL('../../.services', import.meta.url));
const JAVA_CLIENT = fileURLToPath(new URL('rivals/BenchClient.java', import.meta.url));
const PATIENCE_MS = 20_000;

export interface Java {
  /** Of the client with our class. */
  readonly classPath: string;
}

interface Stats {
  readonly msgInCounter: number;
  readonly bytesInCounter: number;
  readonly subscriptions: Readonly<Record<string, { readonly msgBacklog: number }>>;
}

let started: Promise<Broker> | undefined;

export class Broker {
  readonly url: string;
  readonly admin: string;
  /** Null where there is no javac. */
  readonly java: Java | null;
  /** A Python that can import the official client; null where there is none. */
  readonly python: string | null;
  #topics = 0;

  private constructor(env: Readonly<Record<string, string>>, java: Java | null) {
    this.url = env['KEYMILL_TEST_PULSAR']!;
    this.admin = env['KEYMILL_TEST_PULSAR_ADMIN']!;
    this.java = java;
    this.python = env['KEYMILL_TEST_PULSAR_PYTHON'] ?? null;
  }

  /** The same one for all cases. Rejects with the reason why there is none. */
  static running(): Promise<Broker> {
    started ??= Broker.#start();
    return started;
  }

  static async #start(): Promise<Broker> {
    const root = mkdtempSync(join(tmpdir(), 'keymill-bench-pulsar-'));
    const cache = join(SERVICES, 'cache');
    mkdirSync(cache, { recursive: true });
    symlinkSync(cache, join(root, 'cache'));
    const env = { ...process.env, KEYMILL_SERVICES_DIR: root, KEYMILL_SERVICES_PULSAR: 'bench' };
    process.once('exit', () => {
      spawnSync('sh', [SCRIPT, 'stop', 'pulsar'], { env, stdio: 'ignore' });
      rmSync(root, { recursive: true, force: true, maxRetries: 3 });
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
    const { stdout, stderr } = await promisify(execFile)('sh', [SCRIPT, 'start', 'pulsar'], { env });
    const exports = fromLines(stdout);
    if (exports['KEYMILL_TEST_PULSAR'] === undefined) throw new Error(stderr.trim().split('\n').at(-1));
    return new Broker(exports, await compiled(cache, join(root, 'classes')));
  }

  /** A name that no topic has, made where it has partitions. */
  async topic(partitions = 0): Promise<string> {
    const topic = `persistent://public/default/bench-${++this.#topics}`;
    if (partitions > 0) await this.#ask('PUT', topic, '/partitions', String(partitions));
    return topic;
  }

  /** Drops it with what it holds. */
  async drop(topic: string, partitions = 0): Promise<void> {
    await this.#ask('DELETE', topic, `${partitions > 0 ? '/partitions' : ''}?force=true`);
  }

  /** Throws unless it took exactly so many. Returns their bytes with all that is around them. */
  async expectPublished(topic: string, messages: number, partitions = 0): Promise<number> {
    const { msgInCounter, bytesInCounter } = await this.#stats(topic, partitions);
    if (msgInCounter !== messages) throw new Error(`${messages} messages were sent, the broker took ${msgInCounter}`);
    return bytesInCounter;
  }

  /** Throws unless all is acknowledged in time: clients may say so before the broker has heard it. */
  async expectAcknowledged(topic: string, subscription: string, partitions = 0): Promise<void> {
    for (const end = performance.now() + PATIENCE_MS; ; await sleep(20)) {
      const backlog = (await this.#stats(topic, partitions)).subscriptions[subscription]?.msgBacklog;
      if (backlog === 0) return;
      if (performance.now() > end) throw new Error(`${backlog} entries are not acknowledged at the broker`);
    }
  }

  async #stats(topic: string, partitions: number): Promise<Stats> {
    const reply = await this.#ask('GET', topic, partitions > 0 ? '/partitioned-stats?perPartition=false' : '/stats');
    return (await reply.json()) as Stats;
  }

  async #ask(method: string, topic: string, what: string, body?: string): Promise<Response> {
    const url = `${this.admin}/admin/v2/${topic.replace('://', '/')}${what}`;
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const reply = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
    if (!reply.ok) throw new Error(`${method} ${what} of ${topic}: ${reply.status} ${await reply.text()}`);
    return reply;
  }
}

async function compiled(cache: string, classes: string): Promise<Java | null> {
  const jars = join(await brokerJars(cache), '*');
  try {
    await run('javac', ['-cp', jars, '-d', classes, JAVA_CLIENT]);
  } catch (error) {
    process.stderr.write(`pulsar: without the Java client: ${reasonOf(error)}\n`);
    return null;
  }
  return { classPath: `${classes}:${jars}` };
}
