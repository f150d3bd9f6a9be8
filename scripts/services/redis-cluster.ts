/** A cluster of three masters, the first of them with a replica; plain, or with TLS as well. */
import { alive } from './processes.ts';
import { askRedis, lineOf } from './redis-asking.ts';
import { killNode, portsOf, startNode } from './redis-node.ts';
import { certified, type TogetherOptions, tlsTogether } from './redis-tls.ts';
import { Place } from './service.ts';
import { until } from './until.ts';

export const CLUSTER_ROLES = ['node-1', 'node-2', 'node-3', 'node-4'] as const;
const MASTERS = 3;
const SLOTS = 16_384;
const READY_MS = 20_000;
/** After so much silence a node is taken for dead, and its replica takes over. */
const NODE_TIMEOUT_MS = 2000;

/** Of a node: for plain clients, for other nodes, and for clients with TLS where they are served. */
type Ports = readonly [plain: number, bus: number, tls?: number];

const portsIn = (place: Place, role: string) => new Place(place.folder, role).read()!.ports as unknown as Ports;

/** `place` has a folder for each. Starts those that do not run; resolves when each node finds the cluster well. */
export async function startCluster(
  place: Place,
  { isTls = false, directives = [] }: TogetherOptions = {},
): Promise<void> {
  const certificates = isTls ? await certified(place) : null;
  for (const role of CLUSTER_ROLES) {
    const at = new Place(place.folder, role);
    const ports = await portsOf(at, isTls ? 3 : 2);
    await startNode(at, {
      ports,
      directives: [
        ['cluster-enabled', 'yes'],
        ['cluster-config-file', 'nodes'],
        ['cluster-port', ports[1]!],
        ['cluster-node-timeout', NODE_TIMEOUT_MS],
        ['cluster-replica-validity-factor', 0],
        ...(certificates === null ? [] : tlsTogether(certificates, ports[2]!)),
        ...directives,
      ],
    });
  }
  const ports = CLUSTER_ROLES.map(role => portsIn(place, role)[0]);
  if (lineOf(await askRedis(ports[0]!, 'CLUSTER', 'INFO'), 'cluster_slots_assigned') === '0') await join(place);
  await until(READY_MS, 'the cluster is well', () => isWell(ports));
}

async function join(place: Place): Promise<void> {
  const nodes = CLUSTER_ROLES.map(role => portsIn(place, role));
  for (const [n, [port]] of nodes.entries()) {
    await askRedis(port, 'CLUSTER', 'SET-CONFIG-EPOCH', n + 1);
    if (n >= MASTERS) continue;
    const [first, end] = [n, n + 1].map(i => Math.floor((i * SLOTS) / MASTERS));
    await askRedis(port, 'CLUSTER', 'ADDSLOTSRANGE', first!, end! - 1);
  }
  // Each of each: they would meet by gossip too, some seconds later.
  for (const [port] of nodes)
    for (const [other, bus, tls] of nodes)
      if (other !== port) await askRedis(port, 'CLUSTER', 'MEET', '127.0.0.1', tls ?? other, bus);
  const [master, replica] = [nodes[0]![0], nodes[MASTERS]![0]];
  const id = String(await askRedis(master, 'CLUSTER', 'MYID'));
  await until(
    READY_MS,
    'the replica follows',
    async () => (await askRedis(replica, 'CLUSTER', 'REPLICATE', id)) === 'OK',
  );
}

async function isWell(ports: readonly number[]): Promise<boolean> {
  const infos = await Promise.all(ports.map(port => askRedis(port, 'CLUSTER', 'INFO')));
  return infos.every(
    info => lineOf(info, 'cluster_state') === 'ok' && lineOf(info, 'cluster_known_nodes') === String(ports.length),
  );
}

export async function killCluster(place: Place): Promise<void> {
  await Promise.all(CLUSTER_ROLES.map(role => killNode(new Place(place.folder, role))));
}

export const clusterRuns = (place: Place): boolean =>
  CLUSTER_ROLES.every(role => alive(new Place(place.folder, role)) !== null);

/** Names the masters only: a driver finds the others. */
export const clusterUrl = (place: Place): string => {
  const ports = CLUSTER_ROLES.slice(0, MASTERS).map(role => portsIn(place, role));
  const scheme = ports[0]![2] === undefined ? 'redis' : 'rediss';
  return `${scheme}+cluster://${ports.map(([plain, , tls]) => `127.0.0.1:${tls ?? plain}`).join(',')}`;
};
