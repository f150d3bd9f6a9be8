/**
 * Stdout as an output. What it took cannot be taken back: when it fails half-way, the asks that went out whole are
 * answered as done, and the next record starts a new line. Once its reader is gone (EPIPE) every ask fails at once
 * with OUTPUT_UNWRITABLE. CSV rows have their header once per opening of this I/O actor.
 */
import { fdatasync, fstatSync, write } from 'node:fs';
import { promisify } from 'node:util';
import { type Environment, KeymillError } from '../../runtime/index.ts';
import { type Addition, EMPTY_TAIL, type Tail } from './encode.ts';
import { codeOf, outputFault } from './faults.ts';
import { type Committed, joined, type Output } from './output.ts';

const STDOUT = 1;

/** Longest pause between two tries on a pipe that is full; a reader of 64 KiB a pause then takes 4 MB/s and more. */
const MAX_PAUSE_MS = 16;

const writeSome = promisify(write);
const syncData = promisify(fdatasync);

export class Stdout implements Output {
  readonly file = 'stdout';
  readonly #environment: Environment;
  readonly #syncEach: boolean;
  #tail = EMPTY_TAIL;
  #gone: KeymillError | undefined;

  constructor(environment: Environment, syncEach: boolean) {
    this.#environment = environment;
    this.#syncEach = syncEach && isRegular();
  }

  get tail(): Tail {
    return this.#tail;
  }

  async commit(additions: readonly Addition[], signal: AbortSignal): Promise<Committed> {
    if (this.#gone) return { asks: 0, error: this.#gone };
    const bytes = joined(additions);
    const sent = { bytes: 0 };
    try {
      await this.#write(bytes, sent, signal);
      if (this.#syncEach) await syncData(STDOUT);
    } catch (thrown) {
      return this.#broken(additions, sent.bytes, thrown);
    }
    this.#tail = additions.at(-1)?.tail ?? this.#tail;
    return { asks: additions.length };
  }

  /** Waits while the pipe is full. `sent` counts, so that it is known after a failure too. */
  async #write(bytes: Buffer, sent: { bytes: number }, signal: AbortSignal): Promise<void> {
    let pauseMs = 0;
    while (sent.bytes < bytes.length) {
      try {
        const { bytesWritten } = await writeSome(STDOUT, bytes, sent.bytes, bytes.length - sent.bytes, null);
        sent.bytes += bytesWritten;
        pauseMs = 0;
      } catch (error) {
        // A pipe is non-blocking as soon as any thread of the process used process.stdout.
        if (codeOf(error) !== 'EAGAIN') throw error;
        if (signal.aborted) throw new KeymillError('IO_FAILED', 'stopped while stdout took no more', { cause: error });
        await this.#pause(pauseMs);
        pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2 || 1);
      }
    }
  }

  #pause(ms: number): Promise<void> {
    const { clock, endOfTurn } = this.#environment;
    return new Promise(resolve => {
      if (ms === 0) endOfTurn(resolve);
      else clock.after(ms, resolve);
    });
  }

  #broken(additions: readonly Addition[], sentBytes: number, thrown: unknown): Committed {
    const error = outputFault(thrown, this.file, `${sentBytes} bytes of it went out`);
    if (codeOf(thrown) === 'EPIPE') this.#gone = error;
    let rest = sentBytes;
    for (const [index, { data, tail }] of additions.entries()) {
      const size = typeof data === 'string' ? Buffer.byteLength(data) : data.length;
      if (size > rest) {
        if (rest > 0) this.#tail = { ...this.#tail, midLine: true };
        return { asks: index, error };
      }
      rest -= size;
      this.#tail = tail;
    }
    // All of it went out, and could not be synced.
    return { asks: 0, error };
  }
}

function isRegular(): boolean {
  try {
    return fstatSync(STDOUT).isFile();
  } catch {
    return false;
  }
}
