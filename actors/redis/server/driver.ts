/**
 * The driver of real servers, on ioredis. What is decided here:
 *
 * - **Few round trips.** The asks of one drain become calls of one script, 256 asks each at most; in a cluster one for each
 *   slot. There, what one ask reads or deletes in several slots is not one step.
 * - **Once.** A batch whose reply was lost is sent again as it was, and the script knows whether it was done. An ask whose
 *   time ran out and that the policy makes again waits for the batch that it is in.
 * - **Nothing hangs.** Each ask has a time, whatever becomes of the connection.
 */
import { type IoContext, type IoMetric, type IoReply, KeymillError } from '../../../runtime/index.ts';
import type { RedisRead } from '../contract.ts';
import type { RedisDriver } from '../driver.ts';
import { misasked } from '../embedded/moment.ts';
import type { Hub } from '../hub.ts';
import type { DataOp } from '../ops.ts';
import type { RedisOptions } from '../options.ts';
import { Batch, type Late, MOST_KEYS, type Place } from './batch.ts';
import { within } from './connection.ts';
import { Connector } from './connector.ts';
import { doneBy, failureOf, foundBy } from './decode.ts';
import { Encoder, type ScriptOp } from './encode.ts';
import { Epochs } from './epochs.ts';
import { lostFault } from './faults.ts';
import { Lanes } from './lanes.ts';
import { Listener } from './listener.ts';
import { Names } from './names.ts';
import { Pipe } from './pipe.ts';
import type { Road } from './road.ts';
import { ServerScans } from './scans.ts';
import { loadScripts } from './scripts.ts';
import { ServerMeters } from './server-meters.ts';
import { connectOptionsOf } from './server-options.ts';

/** In the place of a write that is one ask with others. */
const JOINED: readonly number[] = [];

/** An ask and where it went. */
interface Asked {
  readonly index: number;
  readonly op: ScriptOp;
  readonly places: readonly Place[];
}

/** What one drain has not waited for yet. */
interface Drain {
  readonly open: Map<number, Batch>;
  readonly batches: Set<Batch>;
  asked: Asked[];
}

export class ServerDriver implements RedisDriver {
  readonly #context: IoContext;
  readonly #options: RedisOptions;
  readonly #names: Names;
  readonly #isCluster: boolean;
  readonly #at: string;
  readonly #encoder: Encoder;
  readonly #road: Road;
  readonly #listener: Listener;
  readonly #hub: Hub;
  readonly #scans: ServerScans;
  readonly #meters: ServerMeters;
  readonly #late: Late = new WeakMap();
  /** Messages go through this slot of a cluster, so that they keep their order. */
  readonly #messageSlot: number;

  /** Connects when it is made, and goes on trying. Throws CONFIG_INVALID. */
  constructor(options: RedisOptions, context: IoContext, hub: Hub) {
    this.#context = context;
    this.#options = options;
    this.#hub = hub;
    const { environment, log } = context;
    const { commandTimeoutMs, heartbeatMs, versionsMs } = options;
    const connector = new Connector(connectOptionsOf(options), environment);
    this.#at = connector.name;
    this.#isCluster = connector.isCluster;
    this.#names = new Names(options.prefix, this.#isCluster);
    this.#encoder = new Encoder(options, this.#names);
    this.#meters = new ServerMeters(environment.clock, log, options.slowMs);
    const scripts = loadScripts();
    const driver = crypto.randomUUID().slice(0, 13);
    const shared = { connector, names: this.#names, meters: this.#meters, environment, log, commandTimeoutMs };
    const needs = { ...shared, scripts, epochs: new Epochs(scripts.epoch), driver, versionsMs };
    this.#messageSlot = this.#names.slot(driver);
    const lanes = this.#isCluster ? new Lanes(needs) : null;
    this.#road = lanes ?? new Pipe(needs);
    const publishesAt = () => lanes?.nodeOf(this.#messageSlot);
    this.#listener = new Listener({ ...shared, hub, heartbeatMs, publishesAt });
    this.#scans = new ServerScans(this.#road, this.#names, scripts.scan, driver);
  }

  async run(ops: readonly DataOp[], signal: AbortSignal): Promise<readonly IoReply[]> {
    const replies: IoReply[] = new Array(ops.length);
    let drain = newDrain();
    this.#meters.pending += ops.length;
    try {
      for (let index = 0; index < ops.length; index++) {
        const op = ops[index]!;
        this.#meters.asked(op.op);
        if (op.op === 'scan' || op.op === 'epoch' || op.op === 'subscribe' || op.op === 'unsubscribe') {
          await this.#finish(drain, replies, signal);
          drain = newDrain();
          replies[index] = await replyOf(this.#beside(op));
          continue;
        }
        // A message tells of what was done before it.
        if (op.op === 'publish' && this.#isCluster && drain.asked.some(one => one.op.op !== 'publish')) {
          await this.#finish(drain, replies, signal);
          drain = newDrain();
        }
        try {
          drain.asked.push({ index, op, places: this.#lateOf(op) ?? this.#place(drain, op) });
        } catch (error) {
          replies[index] = { error };
        }
      }
      await this.#finish(drain, replies, signal);
    } finally {
      this.#meters.pending -= ops.length;
    }
    for (const reply of replies) if ('error' in reply) this.#meters.errors++;
    return replies;
  }

  probe(): Promise<void> {
    return this.#road.probe();
  }

  metrics(): readonly IoMetric[] {
    return this.#meters.metrics();
  }

  async close(): Promise<void> {
    this.#listener.close();
    await this.#road.close();
  }

  // ── asks into batches ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Where it went when it was asked before; undefined where it did not, or where nothing came of it. */
  #lateOf(op: ScriptOp): readonly Place[] | undefined {
    const places = this.#late.get(op);
    if (!places?.every(({ batch }) => batch.outcome !== null)) return places;
    if (!('error' in this.#replyTo({ index: 0, op, places }))) return places;
    this.#late.delete(op);
    return undefined;
  }

  #place(drain: Drain, op: ScriptOp): readonly Place[] {
    switch (op.op) {
      case 'get':
      case 'getVersioned':
      case 'getEntries':
      case 'getFields':
      case 'delete':
        return this.#placeMany(drain, op.op, op.keys);
      default: {
        if (this.#encoder.joinable(op)) {
          const name = this.#encoder.checked(op);
          const batch = this.#batchFor(drain, this.#names.slot(name));
          const from = this.#encoder.addJoined(batch, op, name);
          return [{ batch, ask: batch.asks - 1, from, count: 1, indexes: JOINED }];
        }
        const { names, addTo } = this.#encoder.prepare(op);
        const batch = this.#batchFor(drain, op.op === 'publish' ? this.#messageSlot : this.#slotOf(names));
        addTo(batch);
        return [{ batch, ask: batch.asks - 1, from: 0, count: 1, indexes: null }];
      }
    }
  }

  #placeMany(
    drain: Drain,
    op: 'get' | 'getVersioned' | 'getEntries' | 'getFields' | 'delete',
    keys: readonly string[],
  ): Place[] {
    const names = keys.map(key => this.#encoder.name(key));
    const places: Place[] = [];
    const put = (slot: number, some: string[], indexes: number[] | null): void => {
      const batch = this.#batchFor(drain, slot);
      const from = this.#encoder.addMany(batch, op, some);
      places.push({ batch, ask: batch.asks - 1, from, count: some.length, indexes });
    };
    if (names.length === 0) return places;
    if (names.length === 1 || (!this.#isCluster && names.length <= MOST_KEYS)) {
      put(this.#names.slot(names[0]!), names, null);
      return places;
    }
    for (const [slot, indexes] of this.#bySlot(names))
      for (let i = 0; i < indexes.length; i += MOST_KEYS) {
        const some = indexes.slice(i, i + MOST_KEYS);
        const isWhole = some.length === names.length;
        put(slot, isWhole ? names : some.map(index => names[index]!), isWhole ? null : some);
      }
    return places;
  }

  #bySlot(names: readonly string[]): Map<number, number[]> {
    const slots = new Map<number, number[]>();
    for (const [index, name] of names.entries()) {
      const slot = this.#names.slot(name);
      const others = slots.get(slot);
      if (others) others.push(index);
      else slots.set(slot, [index]);
    }
    return slots;
  }

  /** Throws REDIS_CROSS_SLOT. */
  #slotOf(names: readonly string[]): number {
    if (!this.#isCluster) return 0;
    if (names.length === 0) return this.#messageSlot;
    const slot = this.#names.slot(names[0]!);
    const other = names.find(name => this.#names.slot(name) !== slot);
    if (other !== undefined)
      throw new KeymillError(
        'REDIS_CROSS_SLOT',
        `${JSON.stringify(names[0]!.slice(0, 80))} and ${JSON.stringify(other.slice(0, 80))} are in different slots of the cluster; what one step touches must share a hash tag, as {tag}a and {tag}b do`,
      );
    return slot;
  }

  #batchFor({ open, batches }: Drain, slot: number): Batch {
    const last = open.get(slot);
    if (last && !last.isFull) return last;
    if (last) this.#road.submit(last);
    const batch = new Batch(slot);
    batch.wantedAt = this.#context.environment.clock.now();
    open.set(slot, batch);
    batches.add(batch);
    return batch;
  }

  // ── outcomes ───────────────────────────────────────────────────────────────────────────────────────────────────────

  async #finish({ open, batches, asked }: Drain, replies: IoReply[], signal: AbortSignal): Promise<void> {
    if (asked.length === 0) return;
    for (const batch of open.values()) this.#road.submit(batch);
    for (const { places } of asked) for (const { batch } of places) if (batch.outcome === null) batches.add(batch);
    await this.#wait(
      [...batches].filter(batch => batch.outcome === null),
      signal,
    );
    for (const one of asked) replies[one.index] = this.#replyTo(one);
  }

  /** Until all have an outcome, or their time is over. */
  async #wait(batches: readonly Batch[], signal: AbortSignal): Promise<void> {
    if (batches.length === 0 || signal.aborted) return;
    const { clock } = this.#context.environment;
    for (const batch of batches) batch.waiting++;
    await new Promise<void>(resolve => {
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = clock.after(this.#options.commandTimeoutMs, () => {
        for (const batch of batches) if (batch.outcome === null) this.#road.overdue(batch);
        end();
      });
      signal.addEventListener('abort', end, { once: true });
      void Promise.all(batches.map(batch => batch.settled)).then(end);
    });
    for (const batch of batches) {
      batch.waiting--;
      batch.wantedAt = clock.now();
    }
  }

  #replyTo({ op, places }: Asked): IoReply {
    for (const { batch, ask } of places) {
      if (batch.outcome === null) {
        this.#late.set(op, places);
        const why = `no answer in ${this.#options.commandTimeoutMs} ms`;
        return { error: this.#road.fault ?? lostFault(this.#at, why) };
      }
      if ('error' in batch.outcome) return { error: batch.outcome.error };
      const failure = batch.failure(ask);
      if (failure !== undefined) return { error: failureOf(op, failure, this.#at) };
    }
    try {
      return { value: this.#valueOf(op, places) };
    } catch (error) {
      return { error };
    }
  }

  #valueOf(op: ScriptOp, places: readonly Place[]): unknown {
    switch (op.op) {
      case 'get':
      case 'getVersioned':
      case 'getEntries':
      case 'getFields': {
        const found = this.#found(op.op, op.keys, places);
        const isEntry = op.op === 'getEntries';
        this.#meters.found(found, one => one !== null && !(isEntry && (one as { value: unknown }).value === null));
        return found;
      }
      case 'delete':
        return places.reduce((sum, place) => sum + (rawOf(place) as number), 0);
      default: {
        const [place] = places;
        const raw = rawOf(place!);
        if (place!.indexes !== JOINED) return doneBy(op, raw);
        const its = raw === 1 ? 1 : (raw as unknown[])[place!.from];
        if (its instanceof Buffer) throw failureOf(op, its.toString(), this.#at);
        return doneBy(op, its);
      }
    }
  }

  #found(op: 'get' | 'getVersioned' | 'getEntries' | 'getFields', keys: readonly string[], places: readonly Place[]) {
    const [only] = places;
    if (places.length === 1 && only!.indexes === null) return foundBy(op, keys, rawOf(only!), only!.from);
    const found: unknown[] = new Array(keys.length);
    for (const place of places) {
      const some = place.indexes!.map(index => keys[index]!);
      const values = foundBy(op, some, rawOf(place), place.from);
      for (const [i, index] of place.indexes!.entries()) found[index] = values[i];
    }
    return found;
  }

  // ── asks that are no part of a batch ───────────────────────────────────────────────────────────────────────────────

  async #beside(op: Exclude<DataOp, ScriptOp>): Promise<unknown> {
    switch (op.op) {
      case 'scan':
        return this.#scans.page(op.prefix, op.cursor);
      case 'epoch':
        return this.#road.epoch();
      case 'subscribe': {
        const name = 'pattern' in op.what ? op.what.pattern : op.what.channel;
        if (typeof name !== 'string') throw misasked('a name that is not text');
        return this.#subscribe(op.what);
      }
      case 'unsubscribe':
        this.#hub.drop(op.id);
    }
  }

  /** One that came too late is nobody's. */
  async #subscribe(what: RedisRead): Promise<string> {
    const { commandTimeoutMs } = this.#options;
    const subscribing = this.#listener.subscribe(what);
    const late = (): unknown => {
      subscribing.then(id => this.#hub.drop(id)).catch(() => {});
      return lostFault(this.#at, `no subscription in ${commandTimeoutMs} ms`);
    };
    return within(this.#context.environment.clock, commandTimeoutMs, subscribing, late);
  }
}

function newDrain(): Drain {
  return { open: new Map(), batches: new Set(), asked: [] };
}

/** What the script answered to the ask of this place. */
function rawOf({ batch, ask }: Place): unknown {
  return (batch.outcome as { reply: readonly [readonly unknown[], unknown] }).reply[0][ask];
}

async function replyOf(promise: Promise<unknown>): Promise<IoReply> {
  try {
    return { value: await promise };
  } catch (error) {
    return { error };
  }
}
