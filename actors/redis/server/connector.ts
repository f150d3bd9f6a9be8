/** Makes connections: to a server, to the master that sentinels name, to nodes of a cluster; as whom, and with which certificates. */
import { readFileSync } from 'node:fs';
import { Cluster, Redis } from 'ioredis';
import { asError, type Environment, KeymillError } from '../../../runtime/index.ts';
import { type Address, type HostPort, nameOf, textOf } from './address.ts';
import { Connection, within } from './connection.ts';
import { faultOf, isReply, lostFault } from './faults.ts';

export interface ConnectOptions {
  readonly address: Address;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Read again for each connection. */
  readonly passwordFile: string | undefined;
  readonly sentinel: {
    readonly username: string | undefined;
    readonly password: string | undefined;
    readonly passwordFile: string | undefined;
  };
  readonly tls: {
    readonly ca: string | undefined;
    readonly cert: string | undefined;
    readonly key: string | undefined;
    readonly serverName: string | undefined;
  };
  readonly connectTimeoutMs: number;
}

interface Target extends HostPort {
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
  readonly connectionName?: string;
}

export class Connector {
  readonly #options: ConnectOptions;
  readonly #environment: Pick<Environment, 'clock' | 'random'>;
  readonly name: string;
  #turn = 0;

  constructor(options: ConnectOptions, environment: Pick<Environment, 'clock' | 'random'>) {
    this.#options = options;
    this.#environment = environment;
    this.name = nameOf(options.address);
  }

  get isCluster(): boolean {
    return this.#options.address.kind === 'cluster';
  }

  /**
   * To the server, to the master that sentinels name, or to a node of a cluster: `wanted`, or the next of the url.
   * Throws IO_FAILED, ACCESS_REFUSED, CONFIG_INVALID.
   */
  async open(label: string, wanted?: HostPort): Promise<Connection> {
    const { address, connectTimeoutMs } = this.#options;
    const { clock } = this.#environment;
    const end = clock.now() + connectTimeoutMs;
    const isGroup = address.kind === 'sentinel';
    const host = wanted ?? (isGroup ? await this.#master() : address.hosts[this.#turn++ % address.hosts.length]!);
    const at = isGroup ? this.name : textOf(host);
    const target = { ...host, ...this.#proof(at), db: address.db, connectionName: `keymill-${label}` };
    const connection = this.#begin(at, target);
    return this.#made(connection, Math.max(1, end - clock.now()), () => this.#look(connection.redis, at));
  }

  #begin(at: string, target: Target): Connection {
    return new Connection(new Redis({ ...this.#shared(), ...target }), at);
  }

  /** Connects, and is done when `look` is; what fails is ended. Throws as `open`. */
  async #made(connection: Connection, ms: number, look: () => Promise<unknown>): Promise<Connection> {
    const { redis, at } = connection;
    const { clock } = this.#environment;
    let said: unknown;
    redis.on('error', error => {
      // What the server refuses is told before the connection is said to be closed.
      if (!isReply(said)) said = error;
    });
    try {
      const late = (): unknown => lostFault(at, `no connection in ${this.#options.connectTimeoutMs} ms`);
      await within(clock, ms, redis.connect(), late);
      // A server that refused the password lets the connection stand.
      if (isReply(said)) throw said;
      await within(clock, ms, look(), late);
      return connection;
    } catch (error) {
      const fault = faultOf(isReply(said) || !(error instanceof KeymillError) ? (said ?? error) : error, at);
      connection.end(fault);
      throw fault;
    }
  }

  /** All sentinels are asked at once, since some may be silent; the first who knows the master is believed. */
  async #master(): Promise<HostPort> {
    const { address, sentinel, connectTimeoutMs } = this.#options;
    const asked: Connection[] = [];
    const ask = async (host: HostPort): Promise<HostPort> => {
      const at = `sentinel ${textOf(host)}`;
      const who = { ...given('username', sentinel.username), ...given('password', secretOf(sentinel, at)) };
      const connection = this.#begin(at, { ...host, ...who });
      asked.push(connection);
      let found: unknown;
      await this.#made(connection, connectTimeoutMs, async () => {
        found = await connection.redis.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', address.master);
      });
      if (!Array.isArray(found)) throw lostFault(at, `it watches no ${address.master}`);
      return { host: String(found[0]), port: Number(found[1]) };
    };
    try {
      return await Promise.any(address.hosts.map(ask));
    } catch (error) {
      const faults = (error as AggregateError).errors as KeymillError[];
      throw faults.find(({ code }) => code !== 'IO_FAILED') ?? faults[0];
    } finally {
      for (const connection of asked) connection.end(null);
    }
  }

  /** Whether it answers, and is the master where sentinels said so. What an ACL user may not ask is not asked. */
  async #look(redis: Redis, at: string): Promise<void> {
    try {
      await redis.ping();
      if (this.#options.address.kind !== 'sentinel') return;
      const [role] = (await redis.role()) as [string];
      if (role !== 'master') throw lostFault(at, `the sentinels named a ${role}`);
    } catch (error) {
      if (!(isReply(error) && asError(error).message.startsWith('NOPERM'))) throw error;
    }
  }

  /** All nodes of a cluster. Not connected yet. */
  cluster(): Cluster {
    const { address } = this.#options;
    const cluster = new Cluster(
      address.hosts.map(host => ({ ...host })),
      {
        lazyConnect: true,
        enableOfflineQueue: false,
        clusterRetryStrategy: () => null,
        slotsRefreshTimeout: 2000,
        slotsRefreshInterval: 10_000,
        dnsLookup: (host, done) => done(null, host),
        redisOptions: { ...this.#shared(), ...this.#proof(this.name), connectionName: 'keymill-asks' },
      },
    );
    cluster.on('error', () => {});
    return cluster;
  }

  /** Why a cluster is not to be had: what a node of the url says, or that none is reached. Null where it would be now. */
  async whyNoCluster(): Promise<KeymillError | null> {
    try {
      const connection = await this.open('asks');
      const slots = connection.redis.cluster('SLOTS');
      await connection
        .timely(this.#environment.clock, this.#options.connectTimeoutMs, slots)
        .finally(() => connection.end(null));
      return null;
    } catch (error) {
      return faultOf(error, this.name);
    }
  }

  /** Who we are to those who hold data. Throws ACCESS_REFUSED. */
  #proof(at: string) {
    const { address, username } = this.#options;
    return {
      ...given('username', username ?? address.username),
      ...given('password', secretOf(this.#options, at) ?? address.password),
    };
  }

  /** Each connection ends with its first loss. Throws CONFIG_INVALID. */
  #shared() {
    const { address, connectTimeoutMs } = this.#options;
    return {
      lazyConnect: true,
      protocol: 2 as const,
      retryStrategy: () => null,
      enableOfflineQueue: false,
      enableReadyCheck: false,
      autoResubscribe: false,
      maxRetriesPerRequest: null,
      disableClientInfo: true,
      connectTimeout: connectTimeoutMs,
      keepAlive: 30_000,
      ...(address.isTls ? { tls: this.#tls() } : {}),
    };
  }

  #tls() {
    const { ca, cert, key, serverName } = this.#options.tls;
    return {
      minVersion: 'TLSv1.2' as const,
      ...(ca === undefined ? {} : { ca: fileAt(ca, 'tls.ca') }),
      ...(cert === undefined ? {} : { cert: fileAt(cert, 'tls.cert') }),
      ...(key === undefined ? {} : { key: fileAt(key, 'tls.key') }),
      ...given('servername', serverName),
    };
  }
}

function given<K extends string, V>(name: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { [P in K]?: V });
}

function fileAt(path: string, what: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new KeymillError('CONFIG_INVALID', `${what}: ${asError(cause).message}`, { cause });
  }
}

function secretOf(
  { password, passwordFile }: { readonly password: string | undefined; readonly passwordFile: string | undefined },
  at: string,
): string | undefined {
  if (passwordFile === undefined) return password;
  try {
    return readFileSync(passwordFile, 'utf8').trim();
  } catch (cause) {
    throw new KeymillError('ACCESS_REFUSED', `${at}: the password in ${passwordFile} cannot be read`, {
      cause,
      class: 'transient',
    });
  }
}
