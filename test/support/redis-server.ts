/** Redis servers of a test's own, that it may break: started by the code that starts the services, gone when the test ends. */
import { onTestFinished } from 'vitest';
import { type Answer, askRedis, lineOf } from '../../scripts/services/redis-asking.ts';
import { type CLUSTER_ROLES, clusterUrl, killCluster, startCluster } from '../../scripts/services/redis-cluster.ts';
import {
  type GROUP_ROLES,
  groupUrl,
  isSettled,
  killGroup,
  MEMBERS,
  masterOf,
  startGroup,
} from '../../scripts/services/redis-group.ts';
import {
  type Directive,
  emptyNode,
  killNode,
  pauseNode,
  portOf,
  portsOf,
  resumeNode,
  startNode,
} from '../../scripts/services/redis-node.ts';
import { certificatesIn, certificatesOf, type TogetherOptions } from '../../scripts/services/redis-tls.ts';
import { Place } from '../../scripts/services/service.ts';
import { until } from '../../scripts/services/until.ts';
import { type OnEnd, tempFolder } from './temp-folder.ts';

type Command = readonly (string | number | Uint8Array)[];

export interface RedisServerOptions {
  /** Lines of its configuration. */
  readonly args?: readonly Directive[];
  /** Whether it keeps what it has answered, by an append-only file. */
  readonly data?: boolean;
}

export class RedisServer {
  readonly #place: Place;
  readonly #ports: readonly number[];
  readonly #args: readonly Directive[];

  constructor(place: Place, ports: readonly number[], args: readonly Directive[]) {
    this.#place = place;
    this.#ports = ports;
    this.#args = args;
  }

  get port(): number {
    return this.#ports[0]!;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Resolves when it answers, with data as before where it keeps them and `empty` is not said. */
  async start({ empty = false } = {}): Promise<void> {
    if (empty) emptyNode(this.#place);
    await startNode(this.#place, { ports: this.#ports, directives: this.#args });
  }

  /** As a power cut would. Resolves when it is gone. */
  kill(): Promise<void> {
    return killNode(this.#place);
  }

  /** Connections stay, and nothing answers, until `resume`. */
  pause(): void {
    pauseNode(this.#place);
  }

  resume(): void {
    resumeNode(this.#place);
  }

  /** CONFIG SET. */
  async config(name: string, value: string | number): Promise<void> {
    await this.ask('CONFIG', 'SET', name, value);
  }

  /** By a connection of its own, past any proxy. */
  ask(...command: Command): Promise<Answer> {
    return askRedis(this.port, ...command);
  }

  /** How often a command was called since its start, e.g. `evalsha`; 0 if never. */
  async calls(command: string): Promise<number> {
    const line = lineOf(await this.ask('INFO', 'commandstats'), `cmdstat_${command}`);
    return Number(/^calls=(\d+)/.exec(line ?? '')?.[1] ?? 0);
  }
}

/** `everysec`, the default, answers before the log is written while a former part of it is being synced, 2 s at most. */
const KEEPS: readonly Directive[] = [
  ['appendonly', 'yes'],
  ['appendfsync', 'always'],
];

export async function redisServer({ args = [], data = false }: RedisServerOptions = {}): Promise<RedisServer> {
  const place = new Place(await tempFolder('redis-server'), 'server');
  const keeps: readonly Directive[] = data ? KEEPS : [];
  const server = new RedisServer(place, await portsOf(place, 1), [...keeps, ...args]);
  onTestFinished(() => server.kill());
  await server.start();
  return server;
}

export interface TogetherHow extends TogetherOptions {
  /** Takes what ends it; without it, the test does. */
  readonly onEnd?: OnEnd;
}

/** Paths, as the driver's option `tls` has them: the client's. */
export interface Certificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

function certificatesFor(place: Place): Certificates {
  const { ca, client } = certificatesOf(certificatesIn(place));
  return { ca, cert: client.certificate, key: client.key };
}

/** Lines of CLIENT LIST. */
async function plainAt(place: Place): Promise<readonly string[]> {
  const lines = String(await askRedis(portOf(place), 'CLIENT', 'LIST'))
    .trim()
    .split('\n');
  return lines.filter(line => !line.includes('cmd=client|list') && line.includes(` laddr=127.0.0.1:${portOf(place)} `));
}

type Role = (typeof GROUP_ROLES)[number];
type Member = (typeof MEMBERS)[number];

/** Servers that belong together, each by its name. */
class Together<Name extends string> {
  protected readonly place: Place;
  protected readonly how: TogetherOptions;

  constructor(place: Place, how: TogetherOptions) {
    this.place = place;
    this.how = how;
  }

  /** Where they speak TLS. */
  get certificates(): Certificates {
    return certificatesFor(this.place);
  }

  kill(name: Name): Promise<void> {
    return killNode(this.at(name));
  }

  ask(name: Name, ...command: Command): Promise<Answer> {
    return askRedis(portOf(this.at(name)), ...command);
  }

  /** Those who came by its port without TLS, but for who asks this. */
  plain(name: Name): Promise<readonly string[]> {
    return plainAt(this.at(name));
  }

  protected at(name: Name): Place {
    return new Place(this.place.folder, name);
  }
}

/** A master, a replica and three sentinels; a master that is silent for a second is replaced within about three. */
export class RedisGroup extends Together<Role> {
  get url(): string {
    return groupUrl(this.place);
  }

  pause(role: Role): void {
    pauseNode(this.at(role));
  }

  resume(role: Role): void {
    resumeNode(this.at(role));
  }

  /** As the sentinels have it. */
  master(): Promise<Member> {
    return masterOf(this.place);
  }

  /** Kills the master and resolves when the other is one; the killed stays dead. Gives the new master. */
  async failover(): Promise<Member> {
    const old = await this.master();
    await this.kill(old);
    return this.promoted(old);
  }

  /** Resolves when another than `old` is the master and takes writes. */
  async promoted(old: Member): Promise<Member> {
    const young = MEMBERS.find(member => member !== old)!;
    await until(20_000, `${young} is the master`, async () => {
      return (
        (await this.master()) === young && lineOf(await this.ask(young, 'INFO', 'replication'), 'role') === 'master'
      );
    });
    return young;
  }

  /**
   * From now on nothing reaches the replica, which has what was written before: what the master takes is lost when it is killed, and
   * `resume` lets the replica take over.
   */
  async part(): Promise<void> {
    const master = await this.master();
    const replica = MEMBERS.find(member => member !== master)!;
    const offset = async (member: Member, name: string): Promise<number> =>
      Number(lineOf(await this.ask(member, 'INFO', 'replication'), name));
    const written = await offset(master, 'master_repl_offset');
    await until(10_000, `${replica} has what was written`, async () => {
      return (await offset(replica, 'slave_repl_offset')) >= written;
    });
    this.pause(replica);
    await this.ask(master, 'CLIENT', 'KILL', 'TYPE', 'replica');
  }

  /** Starts again what does not run; resolves when the sentinels agree, which may take 10 s. */
  start(): Promise<void> {
    return startGroup(this.place, this.how);
  }

  isSettled(): Promise<boolean> {
    return isSettled(this.place);
  }
}

export async function redisGroup({ onEnd = onTestFinished, ...how }: TogetherHow = {}): Promise<RedisGroup> {
  const place = new Place(await tempFolder('redis-group', onEnd), 'group');
  onEnd(() => killGroup(place));
  await startGroup(place, how);
  return new RedisGroup(place, how);
}

type Node = (typeof CLUSTER_ROLES)[number];

/** Three masters, and `node-4`, who takes over from `node-1` within some four seconds. */
export class RedisCluster extends Together<Node> {
  get url(): string {
    return clusterUrl(this.place);
  }

  /** Starts again what does not run; resolves when all nodes find the cluster well. */
  start(): Promise<void> {
    return startCluster(this.place, this.how);
  }

  /** Kills the first master and resolves when its replica serves in its place. */
  async failover(): Promise<void> {
    await this.kill('node-1');
    await until(20_000, 'node-4 is a master', async () => {
      const info = await this.ask('node-4', 'CLUSTER', 'INFO');
      return (
        lineOf(info, 'cluster_state') === 'ok' &&
        lineOf(await this.ask('node-4', 'INFO', 'replication'), 'role') === 'master'
      );
    });
  }
}

export async function redisCluster({ onEnd = onTestFinished, ...how }: TogetherHow = {}): Promise<RedisCluster> {
  const place = new Place(await tempFolder('redis-cluster', onEnd), 'cluster');
  onEnd(() => killCluster(place));
  await startCluster(place, how);
  return new RedisCluster(place, how);
}
