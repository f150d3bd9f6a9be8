/**
 * The one Redis of a run, in a folder of its own that is gone when the run ends; nothing of it is on the disk. It also bears
 * witness: what it was asked, and what stands there afterwards.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../../scripts/services/ports.ts';
import { type Answer, askRedis, lineOf } from '../../scripts/services/redis-asking.ts';
import { startNode } from '../../scripts/services/redis-node.ts';
import { Place, reasonOf } from '../../scripts/services/service.ts';
import { Child } from '../lib/child.ts';
import type { Bench } from '../lib/contest.ts';
import type { Row } from '../lib/rows.ts';
import { checkStored, KEYS, keyOf, type Load, lastOf, type Stored, seededAt } from './load.ts';

const LINE_MODULE = new URL('line.ts', import.meta.url);
/** Keys of one question. */
const AT_ONCE = 1000;
/** As the server keeps a value that has a version (actors/redis/server/marks.ts). */
const VERSIONED = '\x03';

let started: Promise<RedisServer> | undefined;

export class RedisServer {
  readonly port: number;

  private constructor(port: number) {
    this.port = port;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** The same one for all cases. Rejects with the reason why there is none. */
  static running(): Promise<RedisServer> {
    started ??= RedisServer.#start();
    return started;
  }

  static async #start(): Promise<RedisServer> {
    if (spawnSync('redis-server', ['--version']).error) throw new Error('there is no redis-server on the PATH');
    const root = mkdtempSync(join(tmpdir(), 'keymill-bench-redis-'));
    const place = new Place(root, 'server');
    process.once('exit', () => {
      const pid = place.read()?.pid;
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
      rmSync(root, { recursive: true, force: true, maxRetries: 3 });
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
    const ports = await freePorts(1);
    await startNode(place, { ports, directives: [['maxmemory-policy', 'noeviction']] });
    return new RedisServer(ports[0]!);
  }

  /** By a connection of its own. */
  ask(...command: readonly (string | number)[]): Promise<Answer> {
    return askRedis(this.port, ...command);
  }

  async info(section: string, name: string): Promise<string> {
    return lineOf(await this.ask('INFO', section), name) ?? '';
  }

  /** Empty, but for what is to be read; and its counts begin anew. */
  async prepare(load: Load): Promise<void> {
    await this.ask('FLUSHALL');
    if (load.what === 'get')
      for (let caller = 0; caller < load.callers; caller++)
        for (let from = 0; from < KEYS; from += AT_ONCE) {
          const pairs = places(from).flatMap(i => [keyOf(caller, i), seededAt(caller, i)]);
          await this.ask('MSET', ...pairs);
        }
    await this.ask('CONFIG', 'RESETSTAT');
  }

  /** Throws unless it was asked so much, and holds what was written last. Gives how often it read from its connections. */
  async witness(load: Load): Promise<number> {
    const reads = Number(await this.info('stats', 'total_reads_processed')) - 1;
    if (load.what === 'get') {
      const hits = Number(await this.info('stats', 'keyspace_hits'));
      if (hits < load.asks) throw new Error(`${load.asks} values were read, the server found ${hits}`);
      return reads;
    }
    const calls = Number(/calls=(\d+)/.exec(await this.info('commandstats', 'cmdstat_set'))?.[1] ?? 0);
    if (calls < load.asks) throw new Error(`${load.asks} values were written, the server was told to set ${calls}`);
    const written = Array.from({ length: load.callers }, (_, caller) => lastOf(load, caller));
    const keys = written.flatMap(its => its.map(({ key }) => key));
    const size = Number(await this.ask('DBSIZE'));
    if (size < keys.length) throw new Error(`${keys.length} keys were written, the server holds ${size}`);
    const values = await this.#values(keys);
    const versions = load.what === 'setVersioned' ? await this.#values(keys.map(key => `{${key}}:version`)) : null;
    const found = keys.map((key, i): Stored => {
      const value = values[i]!;
      return {
        key,
        value: value.startsWith(VERSIONED) ? value.slice(1) : value,
        version: versions === null ? null : Number(versions[i]!.split(' ').slice(0, 2).at(-1)),
      };
    });
    checkStored(written.flat(), found);
    return reads;
  }

  async #values(keys: readonly string[]): Promise<string[]> {
    const values: string[] = [];
    for (let from = 0; from < keys.length; from += AT_ONCE)
      values.push(...((await this.ask('MGET', ...keys.slice(from, from + AT_ONCE))) as string[]).map(String));
    return values;
  }
}

const places = (from: number): number[] => Array.from({ length: Math.min(AT_ONCE, KEYS - from) }, (_, i) => from + i);

/** No rows where there is no server, and on stderr why. */
export async function withServer(bench: Bench, use: (server: RedisServer) => Promise<Row[]>): Promise<Row[]> {
  let server: RedisServer;
  try {
    server = await RedisServer.running();
  } catch (error) {
    process.stderr.write(`${bench.suite}: skipped: ${reasonOf(error)}\n`);
    return [];
  }
  return use(server);
}

/** The server from so far away: a process that passes bytes on, replies `delayMs` after they came. */
export async function awayFrom({ port }: RedisServer, delayMs: number): Promise<{ child: Child; url: string }> {
  const child = await Child.open(LINE_MODULE, { port, delayMs });
  return { child, url: `redis://127.0.0.1:${await child.call<number>('port')}` };
}
