/** `fsync: { everyMs }`: syncs the outputs that were written to since the last time, that often. */
import type { IoContext, Timer } from '../../runtime/index.ts';
import type { FileOutput } from './output.ts';

export class SyncTimer {
  readonly #everyMs: number;
  readonly #context: IoContext;
  readonly #outputs = new Set<FileOutput>();
  #timer: Timer | undefined;

  constructor(everyMs: number, context: IoContext) {
    this.#everyMs = everyMs;
    this.#context = context;
  }

  add(output: FileOutput): void {
    this.#outputs.add(output);
    this.#timer ??= this.#context.environment.clock.after(this.#everyMs, () => this.#due());
  }

  delete(output: FileOutput): void {
    this.#outputs.delete(output);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #due(): void {
    this.#timer = undefined;
    const outputs = [...this.#outputs];
    this.#outputs.clear();
    for (const output of outputs)
      output.sync().catch((error: unknown) => {
        // Its asks were answered long ago: all that is left is to try again and to say so.
        this.#context.log.error({ file: output.file, error }, 'an output could not be synced; it is tried again');
        this.add(output);
      });
  }
}
