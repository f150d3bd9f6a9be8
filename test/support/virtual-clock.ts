/**
 * An environment whose time stands still until a test moves it, and whose chance comes from a seed. For tests of
 * modules that take an `Environment`; no real time passes, so nothing sleeps and nothing is flaky.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Environment } from '../../runtime/environment.ts';

export interface VirtualEnvironment extends Environment {
  /** Timers that are neither due nor cancelled. */
  readonly pendingTimers: number;
  /** Lets everything run that needs no time: promises, and what waits for the end of the turn. */
  settle(): Promise<void>;
  /** Moves the clock by `ms`, running what falls due in order of time (then of creation), settling after each. */
  advance(ms: number): Promise<void>;
}

/** Where wall() starts: 2026-01-01T00:00:00Z. now() starts at 0. */
const WALL_START = Date.UTC(2026, 0, 1);

export function virtualEnvironment(seed = 1): VirtualEnvironment {
  const timers: { readonly at: number; readonly fn: () => void }[] = [];
  let turnEnds: (() => void)[] = [];
  let now = 0;

  const settle = async (): Promise<void> => {
    do {
      const due = turnEnds;
      turnEnds = [];
      for (const fn of due) fn();
      await nextTurn(); // microtasks, however many follow from one another, all run before the next turn
    } while (turnEnds.length > 0);
  };

  return {
    clock: {
      now: () => now,
      wall: () => WALL_START + now,
      after(ms, fn) {
        const timer = { at: now + Math.max(0, ms), fn };
        timers.splice(timers.findLastIndex(other => other.at <= timer.at) + 1, 0, timer);
        return {
          cancel() {
            const index = timers.indexOf(timer);
            if (index !== -1) timers.splice(index, 1);
          },
        };
      },
    },
    random: mulberry32(seed),
    endOfTurn: fn => {
      turnEnds.push(fn);
    },
    soon: queueMicrotask,
    get pendingTimers() {
      return timers.length;
    },
    settle,
    async advance(ms) {
      const until = now + ms;
      await settle();
      for (let next = timers[0]; next && next.at <= until; next = timers[0]) {
        timers.shift();
        now = next.at;
        next.fn();
        await settle();
      }
      now = until;
    },
  };
}

/** Tommy Ettinger's mulberry32 (public domain): 32 bits of state, good enough to spread test cases. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
