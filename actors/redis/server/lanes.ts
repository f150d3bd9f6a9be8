/**
 * The way into a cluster: a lane for each slot, with one batch under way, so that the order of a key is kept through
 * redirections and resends. Which node has a slot is ioredis's to find out; what it leaves unanswered is sent again.
 */
import type { Cluster } from 'ioredis';
import { asError, KeymillError } from '../../../runtime/index.ts';
import type { HostPort } from './address.ts';
import type { Batch, BatchReply } from './batch.ts';
import { within } from './connection.ts';
import { masterIdIn } from './epochs.ts';
import { faultOf, isPassing, isReply, lostFault } from './faults.ts';
import { Link } from './link.ts';
import type { Packed } from './marks.ts';
import {
  argumentsOf,
  CLOSING_MS,
  isDemoted,
  isGivenUp,
  type Node,
  PAUSES,
  type Road,
  type RoadNeeds,
  staleIn,
} from './road.ts';

interface Lane {
  readonly queue: Batch[];
  isBusy: boolean;
  number: number;
}

export class Lanes implements Road {
  readonly #needs: RoadNeeds;
  readonly #at: string;
  readonly #lanes = new Map<number, Lane>();
  readonly #link: Link<Cluster>;
  /** What a node said when there was no connection last. */
  #why: unknown = null;
  #isExplaining = false;

  constructor(needs: RoadNeeds) {
    this.#needs = needs;
    this.#at = needs.connector.name;
    this.#link = new Link(needs, {
      open: () => this.#connect(),
      up: () => {
        this.#why = null;
      },
      down: wasUp => {
        if (!wasUp) void this.#explain();
      },
    });
  }

  get fault(): unknown {
    return this.#link.connection === null ? this.#link.fault : null;
  }

  submit(batch: Batch): void {
    if (this.#link.isClosed) {
      batch.fail(lostFault(this.#at, 'closed'));
      return;
    }
    let lane = this.#lanes.get(batch.slot);
    if (!lane) {
      lane = { queue: [], isBusy: false, number: 0 };
      this.#lanes.set(batch.slot, lane);
    }
    lane.queue.push(batch);
    if (!lane.isBusy) void this.#work(lane);
  }

  /** Each attempt has its own end. */
  overdue(): void {}

  async nodes(): Promise<readonly Node[]> {
    const cluster = await this.#link.opened();
    return cluster.nodes('master').map(redis => ({
      name: `${redis.options.host}:${redis.options.port}`,
      call: (command, ...args) => this.#timely(redis.callBuffer(command, ...args)),
    }));
  }

  async epoch(): Promise<number> {
    const infos = await Promise.all((await this.nodes()).map(node => node.call('INFO', 'replication')));
    await this.#refresh(infos.map(info => masterIdIn(String(info))));
    return this.#needs.epochs.epoch;
  }

  /** Where messages that go through a slot are published. Undefined while that is not known. */
  nodeOf(slot: number): HostPort | undefined {
    const name = this.#link.connection?.slots[slot]?.[0];
    const colon = name?.lastIndexOf(':') ?? -1;
    return colon < 0 ? undefined : { host: name!.slice(0, colon), port: Number(name!.slice(colon + 1)) };
  }

  async probe(): Promise<void> {
    const cluster = await this.#link.opened();
    await this.#timely(cluster.exists(this.#needs.names.epoch));
  }

  async close(): Promise<void> {
    if (this.#link.isClosed) return;
    this.#link.close();
    const closed = lostFault(this.#at, 'closed');
    const left = [...this.#lanes.values()].flatMap(lane => lane.queue.map(batch => batch.settled));
    if (this.#link.connection !== null && left.length > 0)
      await within(this.#needs.environment.clock, CLOSING_MS, Promise.all(left), () => null).catch(() => {});
    for (const { queue } of this.#lanes.values()) for (const batch of queue) batch.fail(closed);
    this.#link.connection?.disconnect();
  }

  // ── the connections ────────────────────────────────────────────────────────────────────────────────────────────────

  async #connect() {
    const cluster = this.#needs.connector.cluster();
    const over = Promise.withResolvers<unknown>();
    cluster.once('end', () => over.resolve(lostFault(this.#at, 'all connections were lost')));
    try {
      const isOver = over.promise.then(why => {
        throw why;
      });
      await this.#timely(Promise.race([cluster.connect(), isOver]));
      if (this.#link.isClosed) throw lostFault(this.#at, 'closed');
      return { connection: cluster, ended: over.promise };
    } catch (error) {
      cluster.disconnect();
      throw this.#why ?? error;
    }
  }

  /** ioredis says that no node is available, and not what they say. Nothing waits for it. */
  async #explain(): Promise<void> {
    if (this.#isExplaining || this.#link.isClosed) return;
    this.#isExplaining = true;
    this.#why = await this.#needs.connector.whyNoCluster();
    this.#link.fault = this.#why ?? this.#link.fault;
    this.#isExplaining = false;
  }

  async #timely<T>(promise: Promise<T>): Promise<T> {
    const { environment, commandTimeoutMs } = this.#needs;
    const late = (): unknown => lostFault(this.#at, `no answer in ${commandTimeoutMs} ms`);
    try {
      return await within(environment.clock, commandTimeoutMs, promise, late);
    } catch (error) {
      throw faultOf(error, this.#at);
    }
  }

  // ── batches ────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #work(lane: Lane): Promise<void> {
    lane.isBusy = true;
    while (lane.queue.length > 0) {
      const batch = lane.queue[0]!;
      if (batch.writes && batch.number === 0) batch.number = ++lane.number;
      await this.#untilDone(batch);
      lane.queue.shift();
    }
    lane.isBusy = false;
  }

  async #untilDone(batch: Batch): Promise<void> {
    const { clock } = this.#needs.environment;
    for (let pauseMs = PAUSES.firstMs; batch.outcome === null; pauseMs = Math.min(2 * pauseMs, PAUSES.mostMs)) {
      let why: unknown;
      try {
        batch.sentAt = clock.now();
        const reply = (await this.#send(batch)) as BatchReply;
        this.#needs.meters.answered(batch, clock.now() - batch.sentAt);
        batch.answer(reply);
        if (isDemoted(reply)) this.#link.connection?.refreshSlotsCache?.();
        return;
      } catch (error) {
        why = await this.#afterFailure(batch, error);
      }
      if (why === null) continue;
      if (this.#link.isClosed || isGivenUp(batch, clock.now())) batch.fail(why);
      else await this.#link.pause(pauseMs);
    }
  }

  /** Null where it is to be sent again at once; the reason where later; else the batch has failed. */
  async #afterFailure(batch: Batch, error: unknown): Promise<unknown> {
    const fault = faultOf(error, this.#at);
    const reply = error instanceof KeymillError ? error.cause : error;
    const stale = isReply(reply) ? staleIn(reply) : null;
    if (stale !== null)
      try {
        await this.#refresh([stale]);
        return null;
      } catch (cause) {
        batch.fail(cause);
        return cause;
      }
    if (isReply(reply) && !isPassing(reply)) batch.fail(fault);
    else if (this.#link.connection === null && fault.class === 'fatal') batch.fail(fault);
    return fault;
  }

  async #send(batch: Batch): Promise<unknown> {
    const cluster = await this.#link.opened();
    const { batch: script } = this.#needs.scripts;
    const args = argumentsOf(batch, this.#needs, 1);
    try {
      return await this.#timely(cluster.callBuffer('evalsha', script.sha, ...args));
    } catch (error) {
      if (!/NOSCRIPT/.test(asError(error).message)) throw error;
      return this.#timely(cluster.callBuffer('eval', script.text, ...args));
    }
  }

  #refresh(ids: readonly string[]): Promise<void> {
    const { epochs, names } = this.#needs;
    return epochs.refresh(async (args: readonly Packed[]) => {
      const cluster = await this.#link.opened();
      return this.#timely(cluster.callBuffer('eval', epochs.script.text, '1', names.epoch, ...args));
    }, ids);
  }
}
