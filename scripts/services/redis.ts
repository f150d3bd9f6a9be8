/** Redis in each of its forms: alone, with TLS and a user beside; a group under sentinels; a cluster. None keeps anything on disk. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { makeCertificates } from './certificates.ts';
import type { Exports } from './exports.ts';
import { alive, run } from './processes.ts';
import { type CLUSTER_ROLES, clusterRuns, clusterUrl, killCluster, startCluster } from './redis-cluster.ts';
import { GROUP_ROLES, type GroupRole, groupRuns, groupUrl, killGroup, startGroup } from './redis-group.ts';
import { type Directive, killNode, portsOf, startNode } from './redis-node.ts';
import { certificatesOf, tlsDirectives } from './redis-tls.ts';
import { Place, reasonOf, type Service, say } from './service.ts';

export const USER = 'keymill';
/** What the driver needs, and no more: it asks for INFO and ROLE, and `doctor` looks at settings. */
const RIGHTS = ['~*', '&*', '+@all', '-@dangerous', '+info', '+role', '+config|get'];

/** The line that lets in USER. */
export const userDirective = (password: string): Directive => ['user', USER, 'on', `>${password}`, ...RIGHTS];

/** Each part has a folder of its own. */
export const standaloneOf = (place: Place): Place => new Place(place.folder, 'standalone');
export const groupOf = (place: Place): Place => new Place(place.folder, 'group');
export const clusterOf = (place: Place): Place => new Place(place.folder, 'cluster');

export type RedisRole = 'standalone' | GroupRole | (typeof CLUSTER_ROLES)[number];

/** The folder of one process. */
export function nodeOf(place: Place, role: RedisRole): Place {
  if (role === 'standalone') return standaloneOf(place);
  const isMember = (GROUP_ROLES as readonly string[]).includes(role);
  return new Place((isMember ? groupOf(place) : clusterOf(place)).folder, role);
}

export const redis: Service = {
  name: 'redis',

  async start(place: Place): Promise<Exports> {
    await installed();
    await Promise.all([startStandalone(place), startGroup(groupOf(place)), startCluster(clusterOf(place))]);
    return exportsOf(place);
  },

  status: (place: Place): Exports | null =>
    alive(standaloneOf(place)) !== null && groupRuns(groupOf(place)) && clusterRuns(clusterOf(place))
      ? exportsOf(place)
      : null,

  async stop(place: Place): Promise<void> {
    await Promise.all([killNode(standaloneOf(place)), killGroup(groupOf(place)), killCluster(clusterOf(place))]);
  },
};

/** Without TLS where there is no openssl. */
async function startStandalone(place: Place): Promise<void> {
  const at = standaloneOf(place);
  const password = at.path('password');
  if (!existsSync(password)) writeFileSync(password, randomBytes(12).toString('hex'), { mode: 0o600 });
  const { certificate } = certificatesOf(at).client;
  if (!existsSync(certificate)) await makeCertificates(at).catch(error => say(`redis: no TLS: ${reasonOf(error)}`));
  const isTls = existsSync(certificate);
  const ports = await portsOf(at, isTls ? 2 : 1);
  await startNode(at, {
    ports,
    directives: [userDirective(readFileSync(password, 'utf8')), ...(isTls ? tlsDirectives(at, ports[1]!) : [])],
  });
}

function exportsOf(place: Place): Exports {
  const at = standaloneOf(place);
  const { pid, ports } = at.read()!;
  const [plain, tls] = ports;
  const { ca, client } = certificatesOf(at);
  return {
    REDIS: `redis://127.0.0.1:${plain}`,
    REDIS_PID: String(pid),
    REDIS_USER: `${USER}:${readFileSync(at.path('password'), 'utf8')}`,
    ...(tls === undefined
      ? {}
      : {
          REDIS_TLS: `rediss://localhost:${tls}`,
          REDIS_CA: ca,
          REDIS_CERT: client.certificate,
          REDIS_KEY: client.key,
        }),
    REDIS_SENTINEL: groupUrl(groupOf(place)),
    REDIS_CLUSTER: clusterUrl(clusterOf(place)),
  };
}

async function installed(): Promise<void> {
  if (await found()) return;
  if (process.getuid?.() !== 0) throw new Error('no redis-server on the PATH, and only root can install it');
  say('redis: installing it with apt');
  // Runlevel 1: the package must not start a server of its own.
  const install = () =>
    run('env', [
      'RUNLEVEL=1',
      'DEBIAN_FRONTEND=noninteractive',
      'apt-get',
      'install',
      '-y',
      '--no-install-recommends',
      'redis-server',
    ]);
  try {
    await install();
  } catch {
    // The lists of a fresh container are empty.
    await run('apt-get', ['update']);
    await install();
  }
  if (!(await found())) throw new Error('apt installed no redis-server');
}

const found = (): Promise<boolean> =>
  run('redis-server', ['--version']).then(
    () => true,
    error => {
      if (!reasonOf(error).startsWith('no ')) throw error;
      return false;
    },
  );
