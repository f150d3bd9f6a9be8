/** What every service is to the commands, and where it keeps what. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Exports } from './exports.ts';

export interface Service {
  readonly name: string;
  /** Starts it, or finds it running; the process outlives this one. Throws when it cannot, with the reason as message. */
  start(place: Place): Promise<Exports>;
  /** What `start` would give, if it runs; null if not. */
  status(place: Place): Exports | null;
  /** Ends its processes; without it, the one whose id its place has is all there is. */
  stop?(place: Place): Promise<void>;
}

/** The folder of one service. Names of files have no ending that the linter would look at. */
export class Place {
  readonly folder: string;
  /** Downloads, which outlive `stop`. */
  readonly cache: string;

  constructor(root: string, name: string) {
    this.folder = join(root, name);
    this.cache = join(root, 'cache');
  }

  path(name: string): string {
    mkdirSync(this.folder, { recursive: true });
    return join(this.folder, name);
  }

  /** Of the process that was started last; null if there was none. */
  read(): State | null {
    const file = join(this.folder, 'state');
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as State) : null;
  }

  write(state: State): void {
    const file = this.path('state');
    writeFileSync(`${file}.new`, JSON.stringify(state));
    renameSync(`${file}.new`, file);
  }

  /** All but the downloads. */
  drop(): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

export interface State {
  readonly pid: number;
  /** In the order in which the service uses them. They stay the same until `stop`. */
  readonly ports: readonly number[];
}

export const say = (text: string): void => void process.stderr.write(`services: ${text}\n`);

/** The first line that says something, of what anything threw. */
export const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).trim().split('\n', 1)[0]!;
