/** Runs the command line, or any script, as a real child process on the checkout's own Node. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export const fixture = (name: string): string => fileURLToPath(new URL(`../e2e/fixtures/${name}`, import.meta.url));

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string | undefined>;
  stdin?: string;
}

/** What is left of a process that ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Running {
  readonly child: ChildProcess;
  /** Resolves when the process is gone and all it wrote was read. */
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';
  readonly #lookers = new Set<() => void>();

  constructor(command: string, args: readonly string[], options: RunOptions) {
    const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: '1', ...options.env };
    for (const name of ['NODE_OPTIONS', 'VITEST', 'FORCE_COLOR']) delete env[name];
    this.child = spawn(command, args, { cwd: options.cwd ?? ROOT, env });
    this.child.stdin!.end(options.stdin ?? '');
    for (const stream of ['stdout', 'stderr'] as const)
      this.child[stream]!.setEncoding('utf8').on('data', (text: string) => {
        this[stream] += text;
        for (const look of this.#lookers) look();
      });
    this.ended = once(this.child, 'close').then(([code, signal]) => {
      for (const look of this.#lookers) look();
      return { code, signal, stdout: this.stdout, stderr: this.stderr };
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Resolves when the text has come; rejects when the process ended without it. */
  says(text: string, stream: 'stdout' | 'stderr' = 'stderr'): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (this[stream].includes(text)) resolve();
        else if (this.child.exitCode !== null || this.child.signalCode !== null)
          reject(new Error(`ended (${this.child.exitCode}) without ${JSON.stringify(text)}:\n${this.stderr}`));
        else return;
        this.#lookers.delete(look);
      };
      this.#lookers.add(look);
      look();
    });
  }
}

/** Starts a script, until the test ends at the latest, on the Node that `scripts/node.sh` finds; the process is that Node itself, since the shell execs. */
export function script(path: string, args: readonly string[] = [], options: RunOptions = {}): Running {
  const running = new Running('sh', [`${ROOT}scripts/node.sh`, path, ...args], options);
  onTestFinished(() => running.kill('SIGKILL'));
  return running;
}

export function keymill(args: readonly string[], options: RunOptions = {}): Running {
  return script(`${ROOT}runtime/cli/main.ts`, args, options);
}

/** The one JSON object on stdout. */
export function jsonOf<T = Answer>(ended: { readonly stdout: string; readonly stderr: string }): T {
  const lines = ended.stdout.trimEnd().split('\n');
  if (lines.length !== 1 || lines[0] === '')
    throw new Error(`expected one line of JSON on stdout, found ${JSON.stringify(ended.stdout)}\n${ended.stderr}`);
  return JSON.parse(lines[0]!) as T;
}

export interface ErrorAnswer {
  code: string;
  message: string;
  place: { actor?: string; source?: string; at?: string };
  todo: string;
}

/** What `start --json` prints. */
export interface Answer {
  ok: boolean;
  error?: ErrorAnswer;
  errors?: ErrorAnswer[];
  seconds: number;
  messages: number;
  batches: number;
  settled: { done: number; dead: number; dropped: number };
  perActor: Record<string, { handled: number; batches: number; dead: number; dropped: number; retries: number }>;
  threads: number;
  restarts: number;
  repeats: number;
  unsettled?: number;
  spooled?: number;
  lost?: number;
}
