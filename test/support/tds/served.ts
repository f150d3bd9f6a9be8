/** The SQL Server for tests in a process of its own, which can be killed and started again on the same port and data. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { RunResult } from './database/index.ts';

const SCRIPT = fileURLToPath(new URL('serve.ts', import.meta.url));

export interface ServedOptions {
  /** Of its files. */
  readonly folder: string;
  readonly databases?: readonly string[];
  readonly delayMs?: number;
}

export class ServedMssql {
  readonly #options: ServedOptions;
  #port = 0;
  #child: ChildProcess | null = null;
  #lines: AsyncIterator<string> | null = null;
  #input: Interface | null = null;
  #url = '';
  #calls: Promise<unknown> = Promise.resolve();

  constructor(options: ServedOptions) {
    this.#options = options;
  }

  get url(): string {
    return this.#url;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Again: on the port that it had. */
  async start(): Promise<this> {
    const { folder, databases = [], delayMs = 0 } = this.#options;
    const args = ['--port', String(this.#port), '--data', folder, '--delay', String(delayMs), '--tied'];
    for (const name of databases) args.push('--database', name);
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', SCRIPT, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child = child;
    this.#input = createInterface({ input: child.stdout });
    this.#lines = this.#input[Symbol.asyncIterator]();
    const { url } = (await this.#line()) as { url: string };
    this.#url = url;
    this.#port = Number(new URL(url.replace('mssql:', 'http:')).port);
    return this;
  }

  /** Calls a method of the server there: `run`, `cleanUp`, … What it gives has gone through JSON, bigints as text. */
  call<T = unknown>(method: string, ...args: readonly unknown[]): Promise<T> {
    const made = this.#calls.then(async () => {
      this.#child?.stdin?.write(`${JSON.stringify([method, ...args])}\n`);
      const answer = (await this.#line()) as { value?: T; error?: string };
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer.value as T;
    });
    this.#calls = made.catch(() => undefined);
    return made;
  }

  run(sql: string, name?: string): Promise<RunResult> {
    return this.call('run', sql, ...(name === undefined ? [] : [name]));
  }

  /** As by `kill -9`. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async close(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
    this.#input?.close();
  }

  async #line(): Promise<unknown> {
    const { value, done } = (await this.#lines!.next()) as IteratorResult<string>;
    if (done) throw new Error('the SQL Server of the test has ended');
    return JSON.parse(value);
  }
}
