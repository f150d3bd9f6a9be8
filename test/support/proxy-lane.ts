/** One direction of one proxied connection: what comes in goes out in order, unless it is held up or dropped on the way. */
import type { Socket } from 'node:net';

export type Direction = 'toServer' | 'toClient';

/** Cuts a stream into its frames: is given what came, gives the frames that are whole by now, and keeps the rest. */
export type Splitter = (chunk: Buffer) => Buffer[];

/** What a lane asks on the way. */
export interface Rules {
  /** Nothing may pass for now. */
  readonly held: boolean;
  readonly delayMs: number;
  /** What passes on for a piece: a frame where the lane has a splitter, else whatever came at once. */
  judge(piece: Buffer): Buffer | 'drop' | 'cut';
}

type Step = { readonly cameMs: number; readonly what: Buffer | 'end' | 'reset' };

/** So much may wait in a lane before it stops reading, so that a sender feels a partition as it would a real one. */
const MAX_WAITING_BYTES = 1 << 20;

export class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #rules: () => Rules;
  readonly #cut: () => void;
  readonly #steps: Step[] = [];
  #timer: NodeJS.Timeout | null = null;
  #isFull = false;
  /** Bytes that came in and did not go out. */
  waiting = 0;

  constructor(from: Socket, to: Socket, rules: () => Rules, split: Splitter, cut: () => void) {
    this.#from = from;
    this.#to = to;
    this.#rules = rules;
    this.#cut = cut;
    let ended = false;
    from.on('data', chunk => {
      for (const piece of split(chunk)) this.#add(piece);
    });
    from.on('end', () => {
      ended = true;
      this.#add('end');
    });
    from.on('error', () => {});
    from.on('close', hadError => {
      if (!ended || hadError) this.#add('reset');
    });
    to.on('drain', () => {
      this.#isFull = false;
      this.move();
    });
  }

  #add(what: Step['what']): void {
    this.#steps.push({ cameMs: performance.now(), what });
    if (typeof what !== 'string') this.waiting += what.length;
    if (this.waiting > MAX_WAITING_BYTES) this.#from.pause();
    this.move();
  }

  /** Passes on what may pass; asked again when the rules changed. */
  move(): void {
    while (this.#steps.length > 0 && !this.#rules().held && !this.#isFull) {
      const { cameMs, what } = this.#steps[0]!;
      const leftMs = cameMs + this.#rules().delayMs - performance.now();
      if (leftMs > 0) {
        this.#timer ??= setTimeout(() => {
          this.#timer = null;
          this.move();
        }, Math.ceil(leftMs));
        return;
      }
      this.#steps.shift();
      this.#pass(what);
    }
    if (this.waiting <= MAX_WAITING_BYTES) this.#from.resume();
  }

  #pass(what: Step['what']): void {
    if (what === 'end') this.#to.end();
    else if (what === 'reset') this.#cut();
    else {
      this.waiting -= what.length;
      const verdict = this.#rules().judge(what);
      if (verdict === 'cut') this.#cut();
      else if (verdict !== 'drop' && this.#to.writable) this.#isFull = !this.#to.write(verdict);
    }
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#steps.length = 0;
    this.waiting = 0;
  }
}
