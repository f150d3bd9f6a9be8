/**
 * Real servers for tests, as `scripts/services.sh` started them. A test file begins
 * `describe.skipIf(skipped('pulsar'))(…)`, which says why where there is none.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BROKER } from '../../scripts/services/downloads.ts';
import { fromLines } from '../../scripts/services/exports.ts';
import { alive, kill } from '../../scripts/services/processes.ts';
import { groupOf, nodeOf, type RedisRole } from '../../scripts/services/redis.ts';
import { masterOf } from '../../scripts/services/redis-group.ts';
import { killNode } from '../../scripts/services/redis-node.ts';
import { Place } from '../../scripts/services/service.ts';
import { type Claims, signToken as sign } from '../../scripts/services/token.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/services.sh', import.meta.url));

export interface PulsarService {
  /** `pulsar://127.0.0.1:PORT`. Who comes without a proof may all. */
  readonly url: string;
  /** `pulsar+ssl://localhost:PORT`. */
  readonly tls: string;
  /** `http://127.0.0.1:PORT`. */
  readonly admin: string;
  /** Path of the authority that signed the server's certificate. */
  readonly ca: string;
  /** Paths of a client's certificate and key. */
  readonly certificate: string;
  readonly key: string;
  /** Never expires. */
  readonly token: string;
  /** Path of the key that tokens are signed with. */
  readonly secret: string;
  /** `USER:PASSWORD`. */
  readonly basic: string;
  /** A restart gives another. */
  readonly pid: number;
  /** Path of a Python that can import the official client; null where there is none. */
  readonly python: string | null;
}

const variable = (name: string): string | undefined => process.env[`KEYMILL_TEST_${name}`] || undefined;

export function pulsarService(): PulsarService | null {
  const url = variable('PULSAR');
  if (url === undefined) return null;
  const of = (name: string): string => variable(`PULSAR_${name}`) ?? '';
  return {
    url,
    tls: of('TLS'),
    admin: of('ADMIN'),
    ca: of('CA'),
    certificate: of('CERT'),
    key: of('KEY'),
    token: of('TOKEN'),
    secret: of('SECRET'),
    basic: of('BASIC'),
    pid: alive(place('pulsar')) ?? Number(of('PID')),
    python: variable('PULSAR_PYTHON') ?? null,
  };
}

export interface RedisService {
  /** `redis://127.0.0.1:PORT`: one server alone. Who comes without a password may all. */
  readonly url: string;
  /** The same server: `rediss://localhost:PORT`. Empty, as the paths are, where there is no openssl. */
  readonly tls: string;
  /** Path of the authority that signed the server's certificate. */
  readonly ca: string;
  /** Paths of a client's certificate and key. */
  readonly certificate: string;
  readonly key: string;
  /** `USER:PASSWORD` of one who may what the driver needs. */
  readonly user: string;
  /** `redis+sentinel://HOST:PORT,HOST:PORT,HOST:PORT/keymill`: a master and a replica under three sentinels. */
  readonly sentinel: string;
  /** `redis+cluster://HOST:PORT,…`: three masters, the first of them with a replica. */
  readonly cluster: string;
}

/** Null where none runs. */
export function redisService(): RedisService | null {
  const url = variable('REDIS');
  if (url === undefined) return null;
  const of = (name: string): string => variable(`REDIS_${name}`) ?? '';
  return {
    url,
    tls: of('TLS'),
    ca: of('CA'),
    certificate: of('CERT'),
    key: of('KEY'),
    user: of('USER'),
    sentinel: of('SENTINEL'),
    cluster: of('CLUSTER'),
  };
}

/** Ends one process of the Redis service as a power cut would. Tests that break a server better have one of their own: `redisServer`. */
export const killRedis = (role: RedisRole): Promise<void> => killNode(nodeOf(place('redis'), role));

/** Starts again what was killed, with ports as before and without data. Resolves when all is well: a group may take 10 s. */
export async function startRedis(): Promise<RedisService> {
  await startService('redis');
  return redisService()!;
}

/** Who of the two is the master of the service's group. */
export const redisMaster = (): Promise<'master' | 'replica'> => masterOf(groupOf(place('redis')));

const place = (name: string): Place => new Place(variable('SERVICES') ?? '', name);

/** Whether tests of a service must be skipped; then the reason is printed. `peer` also wants the Python client. */
export function skipped(service: 'pulsar' | 'redis', ...wants: 'peer'[]): boolean {
  const missing =
    variable(service.toUpperCase()) === undefined
      ? `no ${service}: eval "$(sh scripts/services.sh start ${service})" starts one, or says why it cannot`
      : wants.includes('peer') && pulsarService()?.python == null
        ? 'no Python client of Pulsar'
        : null;
  if (missing !== null) console.log(`skipped: ${missing}`);
  return missing !== null;
}

/** Ends the broker as a power cut would its process. Resolves when it is gone. */
export async function killBroker(): Promise<void> {
  await kill(running().pid);
}

/** Starts the broker again after `killBroker`, with ports and data as before. Resolves when it serves. */
export async function startBroker(): Promise<PulsarService> {
  await startService('pulsar');
  return running();
}

/** All that the broker wrote since its data is as it is. */
export const brokerLog = (): string => readFileSync(place('pulsar').path('log'), 'utf8');

async function startService(name: 'pulsar' | 'redis'): Promise<void> {
  const env = { ...process.env, KEYMILL_SERVICES_DIR: variable('SERVICES') };
  for (const name of ['NODE_OPTIONS', 'VITEST']) delete (env as NodeJS.ProcessEnv)[name];
  const { stdout, stderr } = await promisify(execFile)('sh', [SCRIPT, 'start', name], { env });
  const exports = fromLines(stdout);
  if (exports[`KEYMILL_TEST_${name.toUpperCase()}`] === undefined) throw new Error(stderr);
  Object.assign(process.env, exports);
}

export async function restartBroker(): Promise<PulsarService> {
  await killBroker();
  return startBroker();
}

/** A token of any role, e.g. one that expired: `signToken({ sub: 'keymill', exp: 0 })`. */
export const signToken = (claims: Claims, secret = readFileSync(running().secret)): string => sign(secret, claims);

function running(): PulsarService {
  const service = pulsarService();
  if (service === null) throw new Error('no Pulsar runs: skip the test by skipped("pulsar")');
  return service;
}

/** Class path of the official Java client: it is among the jars of the broker. */
export const javaClasses = (): string => join(variable('SERVICES')!, 'cache', BROKER, '*');
