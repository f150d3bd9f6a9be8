/** A master with a replica, and three sentinels who watch them; plain, or with TLS as well. */
import { createHash } from 'node:crypto';
import { alive } from './processes.ts';
import { type Answer, askRedis, lineOf } from './redis-asking.ts';
import { type Directive, killNode, portOf, portsOf, startNode } from './redis-node.ts';
import { certified, type TogetherOptions, tlsTogether } from './redis-tls.ts';
import { Place } from './service.ts';
import { until } from './until.ts';

export const GROUP = 'keymill';
export const SENTINELS = ['sentinel-1', 'sentinel-2', 'sentinel-3'] as const;
/** Names of those who hold data, as they were at the first start: after a failover the replica is the master. */
export const MEMBERS = ['master', 'replica'] as const;
export type GroupRole = (typeof MEMBERS)[number] | (typeof SENTINELS)[number];
export const GROUP_ROLES: readonly GroupRole[] = [...MEMBERS, ...SENTINELS];

const QUORUM = 2;
const DOWN_MS = 1000;
const FAILOVER_MS = 3000;
const READY_MS = 20_000;

/** `place` has a folder for each. Starts those that do not run; resolves when the sentinels agree about a master. */
export async function startGroup(
  place: Place,
  { isTls = false, directives = [] }: TogetherOptions = {},
): Promise<void> {
  const at = (role: string): Place => new Place(place.folder, role);
  const certificates = isTls ? await certified(place) : null;
  const ports = new Map<string, readonly number[]>();
  for (const role of GROUP_ROLES) ports.set(role, await portsOf(at(role), isTls ? 2 : 1));
  /** By which the others come. */
  const port = (role: string): number => ports.get(role)!.at(-1)!;
  const tls = (role: string): readonly Directive[] =>
    certificates === null ? [] : tlsTogether(certificates, port(role));
  const [master, replica] = MEMBERS.map(port);
  const member = (role: string, its: readonly Directive[]): Promise<void> =>
    startNode(at(role), { ports: ports.get(role)!, directives: [...tls(role), ...directives, ...its] });
  await member('master', []);
  await member('replica', [['replicaof', '127.0.0.1', master!]]);
  const idOf = (role: string): string => createHash('sha1').update(`${place.folder} ${role}`).digest('hex');
  // Told of one another: by themselves they need some seconds to meet.
  await Promise.all(
    SENTINELS.map(role =>
      startNode(at(role), {
        ports: ports.get(role)!,
        isSentinel: true,
        directives: [
          ...tls(role),
          ['sentinel', 'myid', idOf(role)],
          ['sentinel', 'monitor', GROUP, '127.0.0.1', master!, QUORUM],
          ['sentinel', 'down-after-milliseconds', GROUP, DOWN_MS],
          ['sentinel', 'failover-timeout', GROUP, FAILOVER_MS],
          ['sentinel', 'known-replica', GROUP, '127.0.0.1', replica!],
          ...SENTINELS.filter(other => other !== role).map(
            other => ['sentinel', 'known-sentinel', GROUP, '127.0.0.1', port(other), idOf(other)] as const,
          ),
        ],
      }),
    ),
  );
  await until(READY_MS, 'the sentinels agree', () => isSettled(place));
}

export async function killGroup(place: Place): Promise<void> {
  await Promise.all(GROUP_ROLES.map(role => killNode(new Place(place.folder, role))));
}

export const groupRuns = (place: Place): boolean =>
  GROUP_ROLES.every(role => alive(new Place(place.folder, role)) !== null);

export const groupUrl = (place: Place): string => {
  const scheme = isTlsIn(place) ? 'rediss' : 'redis';
  return `${scheme}+sentinel://${SENTINELS.map(role => `127.0.0.1:${toldPort(place, role)}`).join(',')}/${GROUP}`;
};

const isTlsIn = (place: Place): boolean => portsIn(place, SENTINELS[0]).length > 1;
/** By which clients and others of the group come: that with TLS where there is one. */
const toldPort = (place: Place, role: string): number => portsIn(place, role).at(-1)!;
const portsIn = (place: Place, role: string): readonly number[] => new Place(place.folder, role).read()!.ports;

/** The member that the first sentinel who answers takes for the master. */
export async function masterOf(place: Place): Promise<(typeof MEMBERS)[number]> {
  for (const role of SENTINELS) {
    const port = portOf(new Place(place.folder, role));
    const address = await askRedis(port, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', GROUP).catch(() => null);
    const found = MEMBERS.find(member => String(toldPort(place, member)) === (address as Answer[])?.[1]);
    if (found !== undefined) return found;
  }
  throw new Error('no sentinel knows a master');
}

/** All sentinels name the same master and know each other, and its replica follows it. */
export async function isSettled(place: Place): Promise<boolean> {
  const master = await masterOf(place);
  const told = String(toldPort(place, master));
  const [replication, ...views] = await Promise.all([
    askRedis(portOf(new Place(place.folder, master)), 'INFO', 'replication'),
    ...SENTINELS.map(role => askRedis(portOf(new Place(place.folder, role)), 'SENTINEL', 'MASTER', GROUP)),
  ]);
  return (
    lineOf(replication!, 'role') === 'master' &&
    lineOf(replication!, 'slave0')?.includes('state=online') === true &&
    views.every(view => {
      const its = new Map<Answer, Answer>();
      const flat = view as readonly Answer[];
      for (let i = 0; i < flat.length; i += 2) its.set(flat[i]!, flat[i + 1]!);
      const isWell = its.get('port') === told && its.get('flags') === 'master';
      return isWell && its.get('num-other-sentinels') === '2' && its.get('num-slaves') === '1';
    })
  );
}
