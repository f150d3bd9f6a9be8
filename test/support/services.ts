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

/** The url of a Redis; null where none runs. */
export const redisService = (): { readonly url: string } | null => {
  const url = variable('REDIS');
  return url === undefined ? null : { url };
};

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
  const env = { ...process.env, KEYMILL_SERVICES_DIR: variable('SERVICES') };
  for (const name of ['NODE_OPTIONS', 'VITEST']) delete (env as NodeJS.ProcessEnv)[name];
  const { stdout, stderr } = await promisify(execFile)('sh', [SCRIPT, 'start', 'pulsar'], { env });
  const exports = fromLines(stdout);
  if (exports['KEYMILL_TEST_PULSAR'] === undefined) throw new Error(stderr);
  Object.assign(process.env, exports);
  return running();
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
export const javaClasses = (): string => join(variable('SERVICES')!, 'cache', `pulsar-broker-${BROKER}`, '*');
