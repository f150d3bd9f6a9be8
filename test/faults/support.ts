/** Starts fixtures, follows their ledgers, and waits for what they write; nothing here sleeps. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';
import type { Runtime, StartOptions, StopReport, Summary, Topology } from '../../runtime/index.ts';
import { start } from '../../runtime/index.ts';
import { judge, type Line, parseLine, type Verdict } from '../support/ledger-judge.ts';
import { type KeyedParams, keyed, messageAt } from './fixtures/keyed.ts';

type Actors = ReturnType<typeof keyed> extends Topology<infer A> ? A : never;

const WAIT_MS = 30_000;
const open: Run[] = [];
const children: ChildRun[] = [];

afterEach(async () => {
  for (const run of open.splice(0)) await run.close();
  for (const child of children.splice(0)) {
    await child.kill();
    rmSync(child.dir, { recursive: true, force: true });
  }
});

/** A folder that goes away with the test. */
export function tempDir(): string {
  return mkdtempSync(join(tmpdir(), 'keymill-faults-'));
}

export interface Leniency {
  /** Messages that may be missing, as `KEY N`. */
  excused?: ReadonlySet<string>;
  /** Positions given, where the source did not come to its end. */
  positions?: number;
  /** Parked messages are acked before they are handled: that is what the park is for. */
  parks?: boolean;
}

/** Follows the ledgers and files of a run, whoever makes it. */
export class Follower {
  readonly params: KeyedParams;
  readonly dir: string;
  /** In the order in which they were read. */
  readonly #lines: Line[] = [];
  #sorted: readonly Line[] = [];
  readonly #read = new Map<string, number>();

  constructor(params: KeyedParams) {
    this.params = params;
    this.dir = params.dir;
  }

  /** The ledger as it is now, in order of time. */
  lines(): readonly Line[] {
    this.#readOn();
    if (this.#sorted.length < this.#lines.length)
      this.#sorted = this.#lines.toSorted((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
    return this.#sorted;
  }

  #readOn(): void {
    for (const name of readdirSync(this.dir)) {
      if (!name.endsWith('.ledger')) continue;
      const path = join(this.dir, name);
      const from = this.#read.get(name) ?? 0;
      const length = statSync(path).size - from;
      if (length <= 0) continue;
      const buffer = Buffer.alloc(length);
      const file = openSync(path, 'r');
      readSync(file, buffer, 0, length, from);
      closeSync(file);
      const end = buffer.lastIndexOf(10) + 1;
      this.#read.set(name, from + end);
      for (const row of buffer.toString('utf8', 0, end).split('\n')) if (row !== '') this.#lines.push(parseLine(row));
    }
  }

  touch(name: string): void {
    writeFileSync(join(this.dir, name), '');
  }

  appears(name: string): Promise<void> {
    return this.until(() => existsSync(join(this.dir, name)), `the file ${name}`);
  }

  /** Until this many messages that `of` accepts were handled. */
  async progress(count: number, of: (line: Line) => boolean): Promise<void> {
    let seen = 0;
    let handled = 0;
    const enough = (): boolean => {
      this.#readOn();
      for (; seen < this.#lines.length; seen++)
        if (this.#lines[seen]!.what === 'end' && of(this.#lines[seen]!)) handled++;
      return handled >= count;
    };
    await this.until(enough, `${count} messages`);
  }

  handled(of: (line: Line) => boolean): number {
    return this.lines().filter(line => line.what === 'end' && of(line)).length;
  }

  /** Looks again whenever a file of the run changed. */
  until(holds: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      let looking = false;
      const watcher = watch(this.dir);
      const finish = (end: () => void): void => {
        watcher.close();
        clearTimeout(limit);
        end();
      };
      const look = (): void => {
        looking = false;
        try {
          if (holds()) finish(resolve);
        } catch (error) {
          finish(() => reject(error));
        }
      };
      const limit = setTimeout(() => finish(() => reject(new Error(`waited ${WAIT_MS} ms for ${what}`))), WAIT_MS);
      watcher.on('change', () => {
        if (looking) return;
        looking = true;
        setImmediate(look);
      });
      look();
    });
  }

  /** How many messages each key has when the source gave so many. */
  given(positions: number): Map<string, number> {
    const { keys, second } = this.params;
    const given = new Map<string, number>();
    for (let k = 0; k < keys; k++) {
      const count = Math.ceil((positions - k) / keys);
      given.set(`k${k}`, count);
      if (second) given.set(`second/k${k}`, count);
    }
    return given;
  }

  /** Judges by how many messages the source gave: as it says itself, if it came to its end. */
  judge(maxRepeats: number, { excused, positions, parks = false }: Leniency = {}): Verdict {
    const { keys, perKey, second, dir } = this.params;
    const given = this.given(
      positions ?? (perKey === undefined ? Number(readFileSync(join(dir, 'given'), 'utf8')) : keys * perKey),
    );
    const at = (position: number): string => {
      const { key, n } = messageAt(position, keys);
      return `${second ? 'second/' : ''}${key} ${n}`;
    };
    return judge(this.lines(), { given, maxRepeats, excused, at: parks ? undefined : at });
  }
}

/** A runtime in this process: two hosts and one I/O thread, unless the options say otherwise. */
export class Run extends Follower {
  readonly runtime: Runtime<Actors>;

  private constructor(params: KeyedParams, runtime: Runtime<Actors>) {
    super(params);
    this.runtime = runtime;
  }

  static async start(params: Omit<KeyedParams, 'dir'> & { dir?: string }, options: StartOptions = {}): Promise<Run> {
    const dir = params.dir ?? tempDir();
    const whole = { ...params, dir };
    const module = `${new URL('./fixtures/keyed.ts', import.meta.url).href}?${encodeURIComponent(JSON.stringify(whole))}`;
    const runtime = await start(keyed(whole), {
      module,
      threads: 2,
      dataDir: join(dir, 'data'),
      logLevel: (process.env['KEYMILL_LOG_LEVEL'] ?? 'silent') as 'silent',
      ...options,
    });
    const run = new Run(whole, runtime);
    open.push(run);
    return run;
  }

  /** Asks again and again until the answer is as it should be. */
  async answers<T>(ask: () => Promise<T>, holds: (answer: T) => boolean, what: string): Promise<T> {
    const limit = performance.now() + WAIT_MS;
    for (;;) {
      const answer = await ask();
      if (holds(answer)) return answer;
      if (performance.now() > limit)
        throw new Error(`asked ${WAIT_MS} ms for ${what}; the last answer was ${JSON.stringify(answer)}`);
    }
  }

  /** Why a source does not read right now, as /metrics has it. */
  async waitingFor(source: string): Promise<string | undefined> {
    const row = new RegExp(`^keymill_source_waiting\\{source="${source}",reason="(.*)"\\} 1$`, 'm');
    return row.exec(await this.runtime.metrics())?.[1];
  }

  /** Ends an endless source, and waits until everything is settled. */
  async finish(): Promise<Summary> {
    this.touch('enough');
    await this.runtime.settled();
    return this.runtime.summary();
  }

  stop(graceMs?: number): Promise<StopReport> {
    return this.runtime.stop(graceMs === undefined ? {} : { graceMs });
  }

  async close(): Promise<void> {
    await this.runtime.stop({ graceMs: 0 });
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A runtime in a process of its own, which may be killed or abort. */
export class ChildRun extends Follower {
  readonly #child: ChildProcess;
  readonly #closed: Promise<number | null>;
  #printed = '';

  constructor(params: KeyedParams, options: StartOptions = {}, mode: 'once' | 'stay' = 'once') {
    super(params);
    const script = fileURLToPath(new URL('./fixtures/child.ts', import.meta.url));
    this.#child = spawn(process.execPath, [script, JSON.stringify(params), JSON.stringify(options), mode], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child.stdout!.on('data', chunk => {
      this.#printed += chunk;
    });
    this.#closed = once(this.#child, 'close').then(([code]) => code as number | null);
    children.push(this);
  }

  /** Waits for its end. Throws if that was not a good one. */
  async over(): Promise<{ summary: Summary; report: StopReport }> {
    const code = await this.#closed;
    if (code !== 0) throw new Error(`the process ended with ${code}`);
    return JSON.parse(this.#printed);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }
}

/** What to say about a host that was lost: how long, and what the others did meanwhile. */
export function recovery(
  lines: readonly Line[],
  fault: Line,
  summary: Summary,
): { text: string; othersMeanwhile: number } {
  const back = lines.find(line => line.host === fault.host && line.life !== fault.life && line.time > fault.time);
  if (!back) throw new Error('the host did not come back');
  const others = lines.filter(
    ({ what, host, time }) => what === 'end' && host !== fault.host && time > fault.time && time < back.time,
  );
  let pause = 0n;
  for (let i = 0; i <= others.length; i++) {
    const gap = (others[i]?.time ?? back.time) - (others[i - 1]?.time ?? fault.time);
    if (gap > pause) pause = gap;
  }
  return {
    othersMeanwhile: others.length,
    text: `host down ${summary.longestRecoveryMs} ms, ${milliseconds(back.time - fault.time)} ms from the fault to its next message; the other host handled ${others.length} meanwhile, its longest pause ${milliseconds(pause)} ms`,
  };
}

function milliseconds(ns: bigint): number {
  return Math.round(Number(ns) / 1e6);
}
