/** How old what a reader is given is: for how long another value had been stored when it was asked for. Values are numbers that rise. */
import type { Cache } from '../../actors/cache/index.ts';
import { later } from './later.ts';

const PAUSE_MS = 20;

export class Staleness {
  readonly #keys: readonly string[];
  /** By key: when each value was stored, in order. */
  readonly #stored = new Map<string, { readonly value: number; readonly at: number }[]>();
  #worstMs = 0;
  #reads = 0;
  #isOver = false;
  readonly #loops: Promise<void>[] = [];

  constructor(keys: readonly string[]) {
    this.#keys = keys;
  }

  /** All keys once. */
  async fill(writer: Cache): Promise<void> {
    for (const key of this.#keys) await this.#write(writer, key);
  }

  /** Changes one key after the other until `end`. */
  change(writer: Cache): void {
    this.#loop(async turn => this.#write(writer, this.#keys[turn % this.#keys.length]!));
  }

  /** Reads all of them again and again until `end`. */
  read(reader: Cache): void {
    this.#loop(async () => {
      const asked = performance.now();
      const values = await reader.getMany<number>(this.#keys);
      for (const [i, value] of values.entries()) this.#judge(this.#keys[i]!, value, asked);
    });
  }

  /** Values read since the last `take`. */
  get reads(): number {
    return this.#reads;
  }

  /** Worst since the last time this was asked, in ms, and how many values were read. */
  take(): { readonly worstMs: number; readonly reads: number } {
    const taken = { worstMs: Math.round(this.#worstMs), reads: this.#reads };
    this.#worstMs = 0;
    this.#reads = 0;
    return taken;
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#loops);
  }

  #loop(turn: (n: number) => Promise<void>): void {
    const run = async (): Promise<void> => {
      for (let n = 0; !this.#isOver; n++) {
        await turn(n);
        await later(PAUSE_MS);
      }
    };
    this.#loops.push(run());
  }

  async #write(writer: Cache, key: string): Promise<void> {
    const its = this.#stored.get(key) ?? [];
    this.#stored.set(key, its);
    const value = its.length + 1;
    const { isStored } = await writer.set(key, value);
    if (!isStored) throw new Error(`${key} was not stored`);
    its.push({ value, at: performance.now() });
  }

  #judge(key: string, value: number | undefined, asked: number): void {
    if (value === undefined) throw new Error(`${key} has no value`);
    this.#reads++;
    const next = this.#stored.get(key)![value];
    if (next !== undefined) this.#worstMs = Math.max(this.#worstMs, asked - next.at);
  }
}
