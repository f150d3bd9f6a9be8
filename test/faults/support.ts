/** Starts fixtures, follows their ledgers, and waits for what they write; nothing here sleeps. */
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, readSync, readdirSync, rmSync, statSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { Runtime, StartOptions, StopReport, Summary, Topology } from '../../runtime/index.ts';
import { start } from '../../runtime/index.ts';
import { judge, type Line, parseLine, type Verdict } from '../support/ledger-judge.ts';
import { type KeyedParams, keyed, messageAt } from './fixtures/keyed.ts';

type Actors = ReturnType<typeof keyed> extends Topology<infer A> ? A : never;

const WAIT_MS = 30_000;
const open: Run[] = [];

afterEach(async () => {
  for (const run of open.splice(0)) await run.close();
});

/** A folder that goes away with the test. */
export function tempDir(): string {
  return mkdtempSync(join(tmpdir(), 'keymill-faults-'));
}

/** Judges a run of the keyed fixture by how many messages its source says it gave. */
export function judgeKeyed(params: KeyedParams, lines: readonly Line[], maxRepeats: number, excused?: ReadonlySet<string>): Verdict {
  const { keys, perKey, second, dir } = params;
  const positions = perKey === undefined ? Number(readFileSync(join(dir, 'given'), 'utf8')) : keys * perKey;
  const given = new Map<string, number>();
  for (let k = 0; k < keys; k++) {
    const count = Math.ceil((positions - k) / keys);
    given.set(`k${k}`, count);
    if (second) given.set(`second/k${k}`, count);
  }
  const at = (position: number): string => {
    const { key, n } = messageAt(position, keys);
    return `${second ? 'second/' : ''}${key} ${n}`;
  };
  return judge(lines, { given, maxRepeats, excused, at });
}

export class Run {
  readonly dir: string;
  readonly params: KeyedParams;
  readonly runtime: Runtime<Actors>;
  readonly #lines: Line[] = [];
  readonly #read = new Map<string, number>();

  private constructor(params: KeyedParams, runtime: Runtime<Actors>) {
    this.dir = params.dir;
    this.params = params;
    this.runtime = runtime;
  }

  /** Two hosts and one I/O thread, unless `options` say otherwise. */
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

  /** The ledger as it is now, in order of time. */
  lines(): readonly Line[] {
    const fresh: Line[] = [];
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
      for (const row of buffer.toString('utf8', 0, end).split('\n')) if (row !== '') fresh.push(parseLine(row));
    }
    if (fresh.length > 0) {
      this.#lines.push(...fresh);
      this.#lines.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
    }
    return this.#lines;
  }

  touch(name: string): void {
    writeFileSync(join(this.dir, name), '');
  }

  appears(name: string): Promise<void> {
    return this.until(() => existsSync(join(this.dir, name)), `the file ${name}`);
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

  /** Until this many lines `what` of keys that `of` accepts were written after `after`. */
  async progress(count: number, of: (line: Line) => boolean, after = 0n): Promise<void> {
    const counted = (): number => this.lines().filter(line => line.what === 'end' && line.time > after && of(line)).length;
    await this.until(() => counted() >= count, `${count} more messages`);
  }

  /** Ends an endless source, and waits until everything is settled. */
  async finish(): Promise<Summary> {
    this.touch('enough');
    await this.runtime.settled();
    return this.runtime.summary();
  }

  judge(maxRepeats: number, excused?: ReadonlySet<string>): Verdict {
    return judgeKeyed(this.params, this.lines(), maxRepeats, excused);
  }

  stop(graceMs?: number): Promise<StopReport> {
    return this.runtime.stop(graceMs === undefined ? {} : { graceMs });
  }

  async close(): Promise<void> {
    await this.runtime.stop({ graceMs: 0 });
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** What to say about a host that was lost: how long, and what the others did meanwhile. */
export function recovery(lines: readonly Line[], fault: Line, summary: Summary): { text: string; othersMeanwhile: number } {
  const back = lines.find(line => line.host === fault.host && line.life !== fault.life && line.time > fault.time);
  if (!back) throw new Error('the host did not come back');
  const others = lines.filter(({ what, host, time }) => what === 'end' && host !== fault.host && time > fault.time && time < back.time);
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
