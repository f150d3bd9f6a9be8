/**
 * Subscriptions on a connection of their own. It is asked for a sign of life now and then; when it is lost, another is made
 * and everything subscribed to again, and every subscriber is told twice that it may have missed something: at once, and
 * when it hears again.
 */
import { asError, type Environment, type Log, type Timer } from '../../../runtime/index.ts';
import type { RedisRead } from '../contract.ts';
import type { Hub } from '../hub.ts';
import type { HostPort } from './address.ts';
import type { Connection } from './connection.ts';
import type { Connector } from './connector.ts';
import { isReply, lostFault } from './faults.ts';
import { unpack } from './marks.ts';
import type { Names } from './names.ts';
import { PAUSES } from './road.ts';
import type { ServerMeters } from './server-meters.ts';

interface ListenerNeeds {
  readonly connector: Connector;
  readonly names: Names;
  readonly hub: Hub;
  readonly meters: ServerMeters;
  readonly environment: Environment;
  readonly log: Log;
  readonly commandTimeoutMs: number;
  readonly heartbeatMs: number;
  /** The node that this process publishes at: what it publishes after it subscribed is heard, and nothing of before. */
  readonly publishesAt: () => HostPort | undefined;
}

export class Listener {
  readonly #needs: ListenerNeeds;
  /** Null until there is something to hear. */
  #connecting: Promise<Connection> | null = null;
  #connection: Connection | null = null;
  #isClosed = false;
  #attempts = 0;
  #heartbeat: Timer | null = null;
  #endPause: (() => void) | null = null;
  /** Commands on the connection, one after the other: who subscribes and who leaves must not cross. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(needs: ListenerNeeds) {
    this.#needs = needs;
    needs.hub.onUnheard = what => {
      if (this.#connection !== null) void this.#inTurn(() => this.#leave(what)).catch(() => {});
    };
  }

  /** Returns the id in the hub. What is published when it has returned is heard. Throws IO_FAILED, BULKHEAD_FULL. */
  subscribe(what: RedisRead): Promise<string> {
    return this.#inTurn(async () => {
      const { hub } = this.#needs;
      const connection = await this.#opened();
      if (hub.hears(what)) {
        // What was published before is on its way before the answer.
        await this.#timely(connection, connection.redis.ping());
        return hub.open(what);
      }
      const id = hub.open(what);
      try {
        await this.#timely(connection, this.#enter(connection, what));
        return id;
      } catch (error) {
        hub.drop(id);
        throw error;
      }
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#heartbeat?.cancel();
    this.#connection?.end(lostFault(this.#needs.connector.name, 'closed'));
    this.#endPause?.();
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const next = this.#last.then(act, act);
    this.#last = next;
    return next;
  }

  #opened(): Promise<Connection> {
    if (this.#isClosed) throw lostFault(this.#needs.connector.name, 'closed');
    if (this.#connection !== null) return Promise.resolve(this.#connection);
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  async #connect(): Promise<Connection> {
    const { connector, hub, names, meters } = this.#needs;
    // That node may be gone: every other attempt is at one of the url.
    const wanted = this.#attempts++ % 2 === 0 ? this.#needs.publishesAt() : undefined;
    const connection = await connector.open('subscriptions', wanted);
    const { redis } = connection;
    redis.on('messageBuffer', (channel: Buffer, message: Buffer) => {
      const its = names.channelOf(channel.toString());
      meters.received++;
      hub.give({ channel: its, message: unpack(message) ?? new Uint8Array(message) }, { channel: its });
    });
    redis.on('pmessageBuffer', (pattern: Buffer | string, channel: Buffer, message: Buffer) => {
      meters.received++;
      const published = {
        channel: names.channelOf(channel.toString()),
        message: unpack(message) ?? new Uint8Array(message),
      };
      hub.give(published, { pattern: names.patternOf(pattern.toString()) });
    });
    try {
      if (this.#isClosed) throw lostFault(connector.name, 'closed');
      for (const what of hub.heard()) await this.#timely(connection, this.#enter(connection, what));
    } catch (error) {
      connection.end(error);
      throw error;
    }
    this.#attempts = 0;
    this.#connection = connection;
    this.#beat(connection);
    void connection.ended.then(reason => this.#lost(reason));
    return connection;
  }

  async #lost(reason: unknown): Promise<void> {
    const { hub, meters, log, connector, environment } = this.#needs;
    this.#connection = null;
    this.#heartbeat?.cancel();
    if (this.#isClosed) return;
    meters.losses++;
    const subscriptions = hub.heard().length;
    log.warn({ at: connector.name, error: asError(reason).message, subscriptions }, 'subscriptions lost');
    if (subscriptions === 0) return;
    hub.miss();
    let pauseMs: number = PAUSES.firstMs;
    while (!this.#isClosed && hub.heard().length > 0) {
      try {
        await this.#opened();
        hub.miss();
        log.info({ at: connector.name, subscriptions: hub.heard().length }, 'subscribed again');
        return;
      } catch {
        await this.#pause(pauseMs * (0.5 + 0.5 * environment.random()));
        pauseMs = Math.min(2 * pauseMs, PAUSES.mostMs);
      }
    }
  }

  #beat(connection: Connection): void {
    const { environment, heartbeatMs } = this.#needs;
    this.#heartbeat = environment.clock.after(heartbeatMs, () => {
      this.#timely(connection, connection.redis.ping()).then(
        () => {
          if (!connection.isEnded) this.#beat(connection);
        },
        () => {},
      );
    });
  }

  #enter({ redis }: Connection, what: RedisRead): Promise<unknown> {
    const { names } = this.#needs;
    return 'channel' in what
      ? redis.subscribe(names.channel(what.channel))
      : redis.psubscribe(names.pattern(what.pattern));
  }

  async #leave(what: RedisRead): Promise<void> {
    const { names, hub } = this.#needs;
    const connection = this.#connection;
    if (connection === null || hub.hears(what)) return;
    const { redis } = connection;
    await this.#timely(
      connection,
      'channel' in what
        ? redis.unsubscribe(names.channel(what.channel))
        : redis.punsubscribe(names.pattern(what.pattern)),
    );
  }

  /** A connection that does not answer in time is none. */
  async #timely<T>(connection: Connection, call: Promise<T>): Promise<T> {
    const { environment, commandTimeoutMs } = this.#needs;
    try {
      return await connection.timely(environment.clock, commandTimeoutMs, call);
    } catch (error) {
      if (!isReply(asError(error).cause)) connection.end(error);
      throw error;
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = this.#needs.environment.clock.after(ms, resolve);
      this.#endPause = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}
