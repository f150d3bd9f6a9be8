/**
 * The seeded scheduler of a simulation. All threads live in one; each step runs one event of one of them: a message of
 * a port, the end of a turn, a timer. Which one, is the seed's choice, within what real threads promise: a port is
 * first in, first out, and so are the ends of turns of a thread; everything else may come in any order and as late as
 * it likes. Time is virtual: it moves to the next timer when the seed says so, or when nothing else is left to do.
 */
import type { Environment, Timer, Transition } from '../environment.ts';
import { seededRandom } from '../random.ts';

/** Events of one kind, first in, first out, of one thread. */
export interface Line {
  readonly node: Node;
  readonly queue: (() => void)[];
}

/** A simulated thread, as far as the scheduler is concerned. */
export interface Node {
  readonly name: string;
  alive: boolean;
  /** Runs nothing before this time. */
  stalledUntil: number;
}

interface SimTimer {
  at: number;
  order: number;
  node: Node;
  fn: () => void;
  cancelled: boolean;
}

/** Chance that a step lets a timer fire though other things could happen. */
const TIMER_CHANCE = 0.1;

export class Scheduler {
  readonly random: () => number;
  now = 0;
  steps = 0;
  /** The thread whose event runs, or ran last: continuations of its promises belong to it. */
  current: Node | null = null;
  readonly #lines: Line[] = [];
  readonly #timers: SimTimer[] = [];
  #order = 0;
  readonly transitions: Map<Transition, number>;

  constructor(seed: number, transitions: Map<Transition, number> = new Map()) {
    this.random = seededRandom(seed);
    this.transitions = transitions;
  }

  /** A whole number from 0 to `below` - 1. */
  pick(below: number): number {
    return Math.floor(this.random() * below);
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  line(node: Node): Line {
    const line: Line = { node, queue: [] };
    this.#lines.push(line);
    return line;
  }

  /** The world as this thread sees it. What it has pending is forgotten when it dies. */
  environment(node: Node): Environment {
    const turns = this.line(node);
    return {
      clock: {
        now: () => this.now,
        wall: () => 1e12 + this.now,
        after: (ms, fn) => this.#after(node, ms, fn),
      },
      random: this.random,
      endOfTurn: fn => {
        turns.queue.push(fn);
      },
      soon: fn => {
        turns.queue.push(fn);
      },
      probe: transition => {
        this.transitions.set(transition, (this.transitions.get(transition) ?? 0) + 1);
      },
    };
  }

  /** Runs one event; false when there is nothing left that could happen. */
  step(): boolean {
    this.steps++;
    const ready = this.#readyLines();
    if (ready.length > 0 && !(this.#timers.length > 0 && this.chance(TIMER_CHANCE))) {
      const line = ready[this.pick(ready.length)]!;
      this.current = line.node;
      line.queue.shift()!();
      return true;
    }
    return this.#fireNext(ready.length > 0);
  }

  /** Forgets everything a dead thread had pending. */
  bury(node: Node): void {
    node.alive = false;
    for (let i = this.#lines.length - 1; i >= 0; i--) if (this.#lines[i]!.node === node) this.#lines.splice(i, 1);
    for (let i = this.#timers.length - 1; i >= 0; i--) if (this.#timers[i]!.node === node) this.#timers.splice(i, 1);
  }

  dropLine(line: Line): void {
    const at = this.#lines.indexOf(line);
    if (at >= 0) this.#lines.splice(at, 1);
  }

  #readyLines(): Line[] {
    const ready: Line[] = [];
    for (const line of this.#lines)
      if (line.queue.length > 0 && line.node.alive && line.node.stalledUntil <= this.now) ready.push(line);
    return ready;
  }

  #after(node: Node, ms: number, fn: () => void): Timer {
    const timer: SimTimer = { at: this.now + ms, order: this.#order++, node, fn, cancelled: false };
    this.#timers.push(timer);
    return {
      cancel: () => {
        timer.cancelled = true;
      },
    };
  }

  /** Moves time to the earliest timer of a thread that is not stalled, or to the end of a stall. */
  #fireNext(more: boolean): boolean {
    let best: SimTimer | null = null;
    let bestAt = Number.POSITIVE_INFINITY;
    for (let i = this.#timers.length - 1; i >= 0; i--) {
      const timer = this.#timers[i]!;
      if (timer.cancelled || !timer.node.alive) {
        this.#timers[i] = this.#timers[this.#timers.length - 1]!;
        this.#timers.pop();
        continue;
      }
      const at = Math.max(timer.at, timer.node.stalledUntil);
      if (at < bestAt || (at === bestAt && timer.order < best!.order)) {
        best = timer;
        bestAt = at;
      }
    }
    for (const line of this.#lines)
      if (
        line.queue.length > 0 &&
        line.node.alive &&
        line.node.stalledUntil > this.now &&
        line.node.stalledUntil < bestAt
      ) {
        this.now = line.node.stalledUntil;
        return true;
      }
    if (best === null) return more;
    this.#timers.splice(this.#timers.indexOf(best), 1);
    this.now = Math.max(this.now, bestAt);
    this.current = best.node;
    best.fn();
    return true;
  }
}
