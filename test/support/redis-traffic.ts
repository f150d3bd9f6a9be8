/**
 * Readers and writers who go on whatever happens to the server, and what they saw: how long calls took, how they failed, and
 * whether versions kept their promises. A value names the write that made it, so one version with two values is known.
 */
import type { RedisClient, VersionedValue } from '../../actors/redis/index.ts';
import { type ErrorCode, isKeymillError, type Version } from '../../runtime/index.ts';
import { later } from './later.ts';

export interface Seen {
  /** Longest call, in ms; one that is still open counts as long as it is. */
  readonly longestMs: number;
  readonly codes: readonly ErrorCode[];
  /** What broke a promise, in words. */
  readonly faults: readonly string[];
  readonly calls: number;
  /** Readings below what was seen, of keys whose later versions the store has lost. */
  readonly wentBack: number;
}

const KEYS = 8;
/** Between two calls of one loop. */
const PAUSE_MS = 5;

export class Traffic {
  readonly #prefix: string;
  readonly #open = new Map<number, number>();
  readonly #codes = new Set<ErrorCode>();
  readonly #faults: string[] = [];
  readonly #values = new Map<string, string>();
  /** Highest version that was written or read, by key. */
  readonly #highest = new Map<string, Version>();
  readonly #loops: Promise<void>[] = [];
  #calls = 0;
  #wentBack = 0;
  #longestMs = 0;
  #writes = 0;
  #written = 0;
  #isOver = false;
  /** Reads may give versions below those seen: the store has lost some, and says so by the epoch of the next write only. */
  mayLose = false;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Two writers and a reader by this client, until `end`. */
  by(client: RedisClient): this {
    for (let n = 0; n < 2; n++) this.#loops.push(this.#loop(() => this.#write(client)));
    this.#loops.push(this.#loop(() => this.#read(client)));
    return this;
  }

  /** Calls that succeeded. */
  get written(): number {
    return this.#written;
  }

  get seen(): Seen {
    const now = performance.now();
    const open = [...this.#open.values()].map(since => now - since);
    return {
      longestMs: Math.max(this.#longestMs, ...open),
      codes: [...this.#codes].toSorted(),
      faults: [...new Set(this.#faults)],
      calls: this.#calls,
      wentBack: this.#wentBack,
    };
  }

  /** Resolves when no call is open. */
  async end(): Promise<Seen> {
    this.#isOver = true;
    await Promise.all(this.#loops);
    return this.seen;
  }

  async #loop(turn: () => Promise<void>): Promise<void> {
    while (!this.#isOver) {
      await turn();
      await later(PAUSE_MS);
    }
  }

  async #write(client: RedisClient): Promise<void> {
    const key = `${this.#prefix}${this.#writes % KEYS}`;
    const known = this.#highest.get(key);
    const found = await this.#timed(client.getVersioned(key));
    if (found === undefined) return;
    this.#found(key, known, found);
    const value = `write ${++this.#writes}`;
    const before = this.#highest.get(key);
    const reply = await this.#timed(client.compareAndSet(key, found?.version ?? null, value));
    if (reply?.outcome !== 'newer') return;
    this.#written++;
    if (before !== undefined && compare(reply.version, before) <= 0)
      this.#faults.push(`${key}: ${picture(reply.version)} was born after ${picture(before)}`);
    this.#saw(key, reply.version, value);
  }

  async #read(client: RedisClient): Promise<void> {
    const keys = Array.from({ length: KEYS }, (_, n) => `${this.#prefix}${n}`);
    const before = keys.map(key => this.#highest.get(key));
    const found = await this.#timed(client.getManyVersioned(keys));
    if (found === undefined) return;
    for (const [n, one] of found.entries()) this.#found(keys[n]!, before[n], one);
  }

  /** What was read, and the highest version known before it was asked for. */
  #found(key: string, known: Version | undefined, found: VersionedValue | null): void {
    if (found && known && compare(found.version, known) < 0) {
      this.#wentBack++;
      if (!this.mayLose) this.#faults.push(`${key}: ${picture(found.version)} was read after ${picture(known)}`);
    }
    this.#saw(key, found?.version ?? null, found?.value ?? null);
  }

  #saw(key: string, version: Version | null, value: unknown): void {
    if (version === null) return;
    const id = `${key} ${picture(version)}`;
    const known = this.#values.get(id);
    if (known !== undefined && known !== value) this.#faults.push(`${id} is ${known} and ${String(value)}`);
    this.#values.set(id, String(value));
    const high = this.#highest.get(key);
    if (high === undefined || compare(version, high) > 0) this.#highest.set(key, version);
  }

  /** Undefined where it failed, with what is no error of ours as a fault. */
  async #timed<T>(call: Promise<T>): Promise<T | undefined> {
    const id = ++this.#calls;
    const since = performance.now();
    this.#open.set(id, since);
    try {
      return await call;
    } catch (error) {
      if (isKeymillError(error)) this.#codes.add(error.code);
      else this.#faults.push(`not an error of ours: ${String(error)}`);
      return undefined;
    } finally {
      this.#open.delete(id);
      this.#longestMs = Math.max(this.#longestMs, performance.now() - since);
    }
  }
}

const picture = ({ epoch, n }: Version): string => `${epoch}.${n}`;
const compare = (a: Version, b: Version): number => a.epoch - b.epoch || a.n - b.n;
