/**
 * The embedded driver: one store in memory, in the I/O thread; with `file:` also in a file, which has each batch before it is
 * answered. What the file did not take never was, in memory neither, and nobody heard of it.
 */
import type { IoContext, IoMetric, IoReply, Timer } from '../../../runtime/index.ts';
import type { RedisDriver } from '../driver.ts';
import type { Hub } from '../hub.ts';
import { type DataOp, keysOf } from '../ops.ts';
import type { RedisOptions } from '../options.ts';
import { placeOf } from '../place.ts';
import { Database } from './database.ts';
import { Keyspace } from './keyspace.ts';
import { Tokens } from './moment.ts';
import { mayHeal, Store } from './store.ts';

/** So often, so many entries are looked at for what has expired: a million in 50 s, a twentieth of a millisecond each time. */
const SWEEP_MS = 100;
const SWEEP_LOOKS = 2000;
const LOADED_AT_ONCE = 20_000;

export class EmbeddedDriver implements RedisDriver {
  readonly #context: IoContext;
  readonly #keys: Keyspace;
  readonly #tokens: Tokens;
  readonly #store: Store;
  readonly #database: Database | null;
  #timer: Timer | null = null;
  #hasWarned = false;

  /** Throws STORE_CORRUPT, STORE_READ_ONLY, OUTPUT_FULL, STORE_IN_USE. */
  static async open(options: RedisOptions, context: IoContext, hub: Hub): Promise<EmbeddedDriver> {
    const driver = new EmbeddedDriver(options, context, hub);
    try {
      await driver.#load();
    } catch (error) {
      driver.close();
      throw error;
    }
    driver.#sweepLater();
    return driver;
  }

  private constructor(options: RedisOptions, context: IoContext, hub: Hub) {
    this.#context = context;
    const { clock, random } = context.environment;
    const born = Math.floor(clock.wall());
    const place = placeOf(options.url, context.dataDir);
    this.#keys = new Keyspace(context.name, options.maxMemoryBytes);
    this.#database = place.kind === 'file' ? new Database(place.path, { fsync: options.fsync, born }) : null;
    const epoch = this.#database?.epoch ?? born;
    this.#tokens = new Tokens(this.#database?.token ?? Tokens.first(epoch));
    const birth = `${born}-${Math.floor(random() * 2 ** 32)}`;
    this.#store = new Store({ keys: this.#keys, tokens: this.#tokens, epoch, limits: options, hub, birth });
  }

  run(ops: readonly DataOp[]): IoReply[] {
    const at = this.#store.at(this.#context.environment.clock.wall());
    const replies: IoReply[] = new Array(ops.length);
    /** Keys with an ask that will be made again: those behind it must not be done before it. */
    let stuck: Map<string, unknown> | null = null;
    for (let i = 0; i < ops.length; i++) {
      const op = ops[i]!;
      try {
        if (stuck !== null) for (const key of keysOf(op)) if (stuck.has(key)) throw stuck.get(key);
        replies[i] = { value: this.#store.do(at, op) };
      } catch (error) {
        replies[i] = { error };
        if (!mayHeal(error)) continue;
        stuck ??= new Map();
        for (const key of keysOf(op)) stuck.set(key, error);
      }
    }
    this.#keep();
    return replies;
  }

  async probe(): Promise<void> {
    this.#database?.tryOut();
  }

  metrics(): readonly IoMetric[] {
    return [
      { name: 'redis_hit_total', value: this.#store.hits },
      { name: 'redis_miss_total', value: this.#store.misses },
    ];
  }

  close(): void {
    this.#timer?.cancel();
    this.#database?.close();
  }

  /** Throws what the file does not take it for, and nothing of it stands. */
  #keep(): void {
    try {
      if (this.#keys.isChanged) this.#database?.write(this.#keys.changes(), this.#tokens.last);
    } catch (error) {
      this.#store.falls();
      throw error;
    }
    this.#store.stands();
  }

  /** With what has expired meanwhile: the sweep deletes it here and there. */
  async #load(): Promise<void> {
    let loaded = 0;
    for (const [key, entry] of this.#database?.entries() ?? []) {
      this.#keys.load(key, entry);
      // A thread whose event loop stands still for long is taken for dead.
      if (++loaded % LOADED_AT_ONCE === 0) await new Promise<void>(this.#context.environment.endOfTurn);
    }
  }

  #sweepLater(): void {
    this.#timer = this.#context.environment.clock.after(SWEEP_MS, () => {
      this.#keys.sweep(this.#context.environment.clock.wall(), SWEEP_LOOKS);
      try {
        this.#keep();
        this.#hasWarned = false;
      } catch (error) {
        if (!this.#hasWarned) this.#context.log.warn({ error }, 'what has expired could not be deleted; tried again');
        this.#hasWarned = true;
      }
      this.#sweepLater();
    });
  }
}
