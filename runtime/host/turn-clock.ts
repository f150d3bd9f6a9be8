/**
 * The time in a host as it was last read, and how long turns took. To read the clock costs as much as a short handler. So
 * where the handlers of an actor have all been quick, it is read once for QUICK_TURNS of them, and the times recorded are
 * right to QUICK_TURNS_MS. If more has passed at such a reading, one of these turns took it and has it recorded, and the
 * actor has each turn timed again until QUICK_ROW in a row were quick.
 */
import type { Clock } from '../environment.ts';
import { micros } from '../observe/stats.ts';
import type { Cell } from './cell.ts';

const QUICK_TURNS = 8;
const QUICK_TURNS_MS = 0.05;
const QUICK_MS = 0.01;
const QUICK_ROW = 64;

export class TurnClock {
  /** In ms. */
  now = 0;
  readonly #clock: Clock;
  /** The actor whose turns ended since the clock was read, how many, and when their first items came. */
  #cell: Cell | null = null;
  #turns = 0;
  readonly #arrivals = new Float64Array(QUICK_TURNS);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Reads the clock. */
  tick(): number {
    const before = this.now;
    this.now = this.#clock.now();
    if (this.#turns > 0) this.#recordTurns(before);
    return this.now;
  }

  /** When a handler of this actor began that is called next. */
  begin(cell: Cell): number {
    if (this.#turns > 0 && this.#cell !== cell) this.tick();
    return this.now;
  }

  /** A handler ended: in the call itself, or later. */
  end(cell: Cell, startedAt: number, arrivedAt: number, wentOn: boolean): void {
    if (!wentOn && cell.quickTurns === QUICK_ROW) {
      this.#cell = cell;
      this.#arrivals[this.#turns++] = arrivedAt;
      if (this.#turns === QUICK_TURNS) this.tick();
      return;
    }
    const took = this.tick() - startedAt;
    if (wentOn || took >= QUICK_MS) cell.quickTurns = 0;
    else cell.quickTurns++;
    record(cell, took, this.now - arrivedAt);
  }

  /** No turn follows for now. */
  rest(): void {
    if (this.#turns > 0) this.tick();
  }

  #recordTurns(before: number): void {
    const cell = this.#cell!;
    const turns = this.#turns;
    const took = this.now - before;
    const isQuick = took < QUICK_TURNS_MS;
    for (let i = 0; i < turns; i++) {
      const isSlow = !isQuick && i === turns - 1;
      const ended = isQuick || isSlow ? this.now : before;
      record(cell, isQuick ? took / turns : ended - before, ended - this.#arrivals[i]!);
    }
    if (!isQuick) cell.quickTurns = 0;
    this.#turns = 0;
    this.#cell = null;
  }
}

/** Of a handler call, and of its first item from its arrival on. */
function record(cell: Cell, tookMs: number, sinceMs: number): void {
  cell.stats.processing.record(micros(tookMs));
  cell.stats.endToEnd.record(micros(sinceMs));
}
