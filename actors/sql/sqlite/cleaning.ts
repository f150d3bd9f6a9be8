/** Deletes tracked changes that are older than the retention: every half hour, as SQL Server does, in small portions. */
import { asError, type Environment, type Log } from '../../../runtime/index.ts';

const EVERY_MS = 1_800_000;
const RETRY_MS = 60_000;

export class Cleaning {
  readonly #environment: Environment;
  readonly #log: Log;
  readonly #cleanUp: (nowMs: number) => boolean;
  #timer: { cancel(): void } | null = null;

  /** `cleanUp` deletes a portion and says whether more is left. */
  constructor(environment: Environment, log: Log, cleanUp: (nowMs: number) => boolean) {
    this.#environment = environment;
    this.#log = log;
    this.#cleanUp = cleanUp;
    this.#after(RETRY_MS);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #after(ms: number): void {
    this.#timer = this.#environment.clock.after(ms, () => this.#portion());
  }

  #portion(): void {
    if (this.#timer === null) return;
    try {
      const more = this.#cleanUp(this.#environment.clock.wall());
      this.#after(more ? 0 : EVERY_MS);
    } catch (error) {
      this.#log.warn({ err: asError(error).message }, 'old changes were not cleaned up; tried again');
      this.#after(RETRY_MS);
    }
  }
}
