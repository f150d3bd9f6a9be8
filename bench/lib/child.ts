/**
 * Contestants live in processes of their own, so that no heap, compiled code or garbage of one is another's. A child
 * loads a module and answers calls; between calls it rests, so children may stand side by side and take turns.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ENTRY = fileURLToPath(new URL('child-entry.ts', import.meta.url));

/** What a module of a child exports as `open`: what can be called, by name. */
export type Commands = Record<string, (input: never) => Promise<unknown>>;
export type Open = (setup: never) => Promise<Commands>;

export type Request = { id: number; command: string; input: unknown };
export type Response = { id: number; value: unknown } | { id: number; error: string };

export class Child {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #next = 1;

  private constructor(process: ChildProcess) {
    this.#process = process;
    process.on('message', (response: Response) => {
      const call = this.#waiting.get(response.id);
      this.#waiting.delete(response.id);
      if ('error' in response) call?.reject(new Error(response.error));
      else call?.resolve(response.value as never);
    });
    process.on('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`the child ended with ${signal ?? code}`));
      this.#waiting.clear();
    });
  }

  /** Starts a process with the module at `url` and opens it. */
  static async open(url: URL | string, setup: unknown): Promise<Child> {
    const child = new Child(
      fork(ENTRY, [String(url)], {
        execArgv: ['--expose-gc', ...profiling()],
        serialization: 'advanced',
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      }),
    );
    try {
      await child.call('open', setup);
    } catch (error) {
      child.kill();
      throw error;
    }
    return child;
  }

  /** Rejects with what the child threw, or when it does not answer in time. */
  call<T>(command: string, input?: unknown, patienceMs = 180_000): Promise<T> {
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error(`no answer to ${command} within ${patienceMs} ms`));
      }, patienceMs);
      this.#waiting.set(id, {
        resolve(value) {
          clearTimeout(timer);
          resolve(value);
        },
        reject(error) {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#process.send({ id, command, input } satisfies Request, error => {
        if (error) reject(error);
      });
    });
  }

  /** Ends it in good order: what the contestant says while closing counts as its failure. */
  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = new Promise(resolve => this.#process.once('exit', resolve));
    await this.call('close');
    this.#process.disconnect();
    await gone;
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }
}

/** Opens children, all at once, and leaves none behind whatever happens. They close when `use` is through. */
export async function withChildren<T>(
  opening: readonly (() => Promise<Child>)[],
  use: (children: Child[]) => Promise<T>,
): Promise<T> {
  const opened = await Promise.allSettled(opening.map(open => open()));
  const children = opened.flatMap(one => (one.status === 'fulfilled' ? [one.value] : []));
  try {
    for (const one of opened) if (one.status === 'rejected') throw one.reason;
    const result = await use(children);
    await Promise.all(children.map(child => child.close()));
    return result;
  } finally {
    for (const child of children) child.kill();
  }
}

/** `BENCH_CPU_PROF=FOLDER` writes a CPU profile of each child's threads there; the figures are not to be used then. */
function profiling(): string[] {
  const folder = process.env['BENCH_CPU_PROF'];
  return folder ? ['--cpu-prof', `--cpu-prof-dir=${folder}`] : [];
}
