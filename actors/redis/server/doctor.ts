/** What `keymill doctor` looks at in a Redis: what would lose states or versions, or hold everybody up. Changes nothing. */
import type { Redis } from 'ioredis';
import { asError, type Environment, type Finding, type IoUses } from '../../../runtime/index.ts';
import type { RedisOptions } from '../options.ts';
import type { HostPort } from './address.ts';
import { type Connection, within } from './connection.ts';
import { Connector } from './connector.ts';
import { lostFault } from './faults.ts';
import { connectOptionsOf } from './server-options.ts';

/** What the driver is tested on; scripts that read the clock and then write need 5. */
const TESTED = 7;
const NEEDED = 5;
const SLOW_MS = 20;
const PINGS = 5;
const NEARLY_FULL = 0.9;

type Info = Readonly<Record<string, string>>;

/** Throws IO_FAILED, ACCESS_REFUSED, CONFIG_INVALID where it cannot be looked at at all. */
export async function examineServer(
  options: RedisOptions,
  uses: IoUses,
  environment: Environment,
): Promise<readonly Finding[]> {
  const connector = new Connector(connectOptionsOf(options), environment);
  const findings: Finding[] = [];
  const first = await connector.open('doctor');
  const connections = [first];
  try {
    const nodes = connector.isCluster ? await clusterOf(first, findings) : [];
    for (const node of nodes) connections.push(await connector.open('doctor', node));
    const masters = nodes.length > 0 ? connections.slice(1) : connections;
    for (const connection of masters) {
      const late = () => lostFault(connection.at, `no answers in ${options.commandTimeoutMs} ms`);
      const looking = lookAt(connection, uses, options, environment);
      findings.push(...(await within(environment.clock, options.commandTimeoutMs, looking, late)));
    }
    return findings;
  } finally {
    for (const connection of connections) connection.end(null);
  }
}

async function lookAt(
  { redis, at }: Connection,
  uses: IoUses,
  options: RedisOptions,
  { clock }: Environment,
): Promise<Finding[]> {
  const info = infoOf(await redis.info());
  const found: Finding[] = [];
  const say = (state: Finding['state'], symptom: string, evidence: string, fix: string | null = null): void =>
    void found.push({ state, symptom, evidence: `${at}: ${evidence}`, fix });
  /** How much worse it is to lose what is kept here than what is only cached. */
  const loses = uses.keepsStates ? 'wrong' : 'doubtful';

  const version = info['redis_version'] ?? 'unknown';
  const major = Number.parseInt(version, 10);
  if (major < NEEDED) say('wrong', 'scripts of the driver are refused', `version ${version}`, 'Use Redis 7 or newer.');
  else if (major < TESTED) say('doubtful', 'the driver is not tested with it', `version ${version}`, 'Use Redis 7.');
  else say('fine', 'it answers, and is of a version that is tested', `version ${version}`);

  if (info['role'] !== 'master')
    say('wrong', 'writes are refused', `role ${info['role']}`, 'Name the master, or sentinels (redis+sentinel:).');

  memoryFindings(info, loses, say);
  await persistenceFindings(redis, info, loses, say);
  await failoverFindings(redis, info, say);

  const clients = Number(info['connected_clients']) / Number(info['maxclients']);
  if (clients > NEARLY_FULL)
    say(
      'doubtful',
      'new connections may be refused soon',
      `${info['connected_clients']} of maxclients ${info['maxclients']}`,
      'Find who does not close connections, or raise maxclients.',
    );

  const times: number[] = [];
  for (let ping = 0; ping < PINGS; ping++) {
    const began = clock.now();
    await redis.ping();
    times.push(clock.now() - began);
  }
  const ms = times.toSorted((a, b) => a - b)[PINGS >> 1]!;
  const pings = `median of ${PINGS} pings ${ms.toFixed(1)} ms`;
  if (ms > SLOW_MS)
    say('doubtful', 'asks take long', pings, 'Put it nearer, or look at SLOWLOG GET for what holds it up.');
  else say('fine', 'it answers soon', pings);

  await scriptFinding(redis, options, say);
  return found;
}

type Say = (state: Finding['state'], symptom: string, evidence: string, fix?: string | null) => void;

/** Versions, tombstones, leases and states are only as good as their staying. */
function memoryFindings(info: Info, loses: 'wrong' | 'doubtful', say: Say): void {
  const policy = info['maxmemory_policy'];
  const most = Number(info['maxmemory']);
  const used = Number(info['used_memory']);
  const evidence = `maxmemory-policy ${policy}, maxmemory ${most}`;
  if (most > 0 && policy !== 'noeviction')
    say(
      loses,
      loses === 'wrong'
        ? 'durable states may be evicted'
        : 'versions may be evicted: an older write can then come back',
      evidence,
      'Set maxmemory-policy noeviction, or give the cache a Redis of its own.',
    );
  else if (most > 0 && used > most * NEARLY_FULL)
    say('doubtful', 'writes will be refused soon (OUTPUT_FULL)', `${used} of ${most} bytes used`, 'Raise maxmemory.');
  else if (most === 0)
    say(
      'doubtful',
      'it may grow until the system ends it',
      evidence,
      'Set maxmemory below what the machine has, with maxmemory-policy noeviction.',
    );
  else say('fine', 'nothing is evicted', evidence);
}

async function persistenceFindings(redis: Redis, info: Info, loses: 'wrong' | 'doubtful', say: Say): Promise<void> {
  const isAof = info['aof_enabled'] === '1';
  if (info['aof_last_write_status'] === 'err' || info['rdb_last_bgsave_status'] === 'err')
    say(
      'wrong',
      'what it holds does not reach its disk, and writes may be refused (MISCONF)',
      `aof_last_write_status ${info['aof_last_write_status']}, rdb_last_bgsave_status ${info['rdb_last_bgsave_status']}`,
      'Make room on the disk of the server, and look at its log.',
    );
  const fsync = isAof ? await configOf(redis, 'appendfsync') : undefined;
  // Measured: under load Redis answers before what it was told is in the file, and a kill -9 takes that with it.
  if (isAof && loses === 'wrong' && fsync !== undefined && fsync !== 'always')
    say(
      'doubtful',
      'a crash loses durable states of the last second, also of a process that is killed',
      `appendonly yes, appendfsync ${fsync}`,
      'Set appendfsync always where states must not be lost.',
    );
  else if (isAof) say('fine', 'a restart keeps what it holds', `appendonly yes, appendfsync ${fsync ?? 'unknown'}`);
  else
    say(
      loses,
      loses === 'wrong'
        ? 'a restart loses durable states'
        : 'a restart loses versions: everything is read anew, under a higher epoch',
      'appendonly no',
      'Set appendonly yes, with appendfsync everysec or always.',
    );
}

/** A promoted replica has lost what had not reached it; the epoch rises, so nothing goes back, but the writes are gone. */
async function failoverFindings(redis: Redis, info: Info, say: Say): Promise<void> {
  const replicas = Number(info['connected_slaves'] ?? 0);
  if (replicas === 0) return;
  if ((await configOf(redis, 'min-replicas-to-write')) === '0')
    say(
      'doubtful',
      'a failover may lose the last writes',
      `${replicas} replicas, min-replicas-to-write 0`,
      'Set min-replicas-to-write 1 and min-replicas-max-lag 10 on the master and on those that may become it.',
    );
}

/** Undefined where it may not be asked: CONFIG is not for everybody. */
async function configOf(redis: Redis, name: string): Promise<string | undefined> {
  try {
    return ((await redis.config('GET', name)) as string[])[1];
  } catch {
    return undefined;
  }
}

/** Clocks of clients have no part in versions; the server's own must not go back behind what it gave out. */
async function scriptFinding(redis: Redis, { prefix }: RedisOptions, say: Say): Promise<void> {
  const key = `${prefix}keymill:{epoch}`;
  try {
    const [seconds, epoch] = (await redis.eval(
      "return { redis.call('TIME')[1], redis.pcall('HGET', KEYS[1], 'epoch') }",
      1,
      key,
    )) as [string, string | null];
    if (epoch !== null && Number(epoch) > (Number(seconds) + 60) * 1000)
      say(
        'doubtful',
        'its clock went back: lives of values are longer or shorter than they should be; versions rise all the same',
        `its clock is at ${Number(seconds) * 1000} ms, the epoch was made at ${epoch}`,
        'Set the clock of the server.',
      );
    else
      say(
        'fine',
        'scripts may run, and versions need no clock but its own',
        epoch === null ? 'no epoch yet' : `epoch ${epoch}`,
      );
  } catch (error) {
    say(
      'wrong',
      'asks are refused',
      asError(error).message,
      'Give the user of the url the rights +@read +@write +@scripting +@pubsub +@connection +info on its keys and channels.',
    );
  }
}

/** The masters. What is wrong with the cluster as a whole is told. */
async function clusterOf({ redis, at }: Connection, findings: Finding[]): Promise<HostPort[]> {
  const state = infoOf((await redis.cluster('INFO')) as string);
  const lines = ((await redis.cluster('NODES')) as string).trim().split('\n');
  const masters = lines.filter(line => line.includes('master') && !line.includes('fail') && line.split(' ').length > 8);
  const evidence = `${at}: cluster_state ${state['cluster_state']}, ${state['cluster_slots_ok']} of 16384 slots, ${masters.length} masters`;
  if (state['cluster_state'] === 'ok')
    findings.push({ state: 'fine', symptom: 'all slots are served', evidence, fix: null });
  else
    findings.push({
      state: 'wrong',
      symptom: 'some keys cannot be read or written',
      evidence,
      fix: 'Start the nodes that are down, or give their slots to others (redis-cli --cluster fix).',
    });
  return masters.map(line => {
    const [address = ''] = line.split(' ')[1]!.split('@');
    const colon = address.lastIndexOf(':');
    return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
  });
}

function infoOf(text: string): Info {
  return Object.fromEntries(
    text.split('\r\n').flatMap(line => {
      const colon = line.indexOf(':');
      return colon > 0 ? [[line.slice(0, colon), line.slice(colon + 1)]] : [];
    }),
  );
}
