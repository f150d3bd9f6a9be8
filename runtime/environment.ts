/**
 * Everything the engine takes from the outside world besides messages: time, randomness and the end of a turn of the
 * event loop. Nothing in runtime/ calls Date.now, Math.random, setTimeout or setImmediate by itself, so the simulation
 * (runtime/testing) can run the same modules under a seeded scheduler.
 */

/** Handle of a pending timer; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds with a fraction; comparable only inside one thread. */
  now(): number;
  /** Milliseconds since 1970, the same in every thread of the process. Used for deadlines and latencies across threads. */
  wall(): number;
  /** Calls `fn` once, at least `ms` milliseconds from now; never for Infinity. */
  after(ms: number, fn: () => void): Timer;
}

export interface Environment {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  random(): number;
  /** Calls `fn` once the current turn of the event loop has handled what it had. Calls made in one turn run in order. */
  endOfTurn(fn: () => void): void;
  /** Calls `fn` once what runs now has returned, before anything else comes. */
  soon(fn: () => void): void;
  /** Told of each state transition of the engine by name. Absent outside tests. */
  readonly probe?: ((transition: Transition) => void) | undefined;
}

/**
 * The state transitions a simulation must reach to count as having explored the engine.
 * `npm run simulate` reports those that no seed reached.
 */
export const TRANSITIONS = [
  'frame.sent',
  'frame.replayed',
  'frame.repacked',
  'message.bounced',
  'message.forwarded',
  'message.rerouted',
  'lane.opened',
  'lane.closed',
  'lane.credit-exhausted',
  'lane.key-held',
  'lane.key-freed',
  'mailbox.full-wait',
  'mailbox.drop-oldest',
  'mailbox.drop-newest',
  'mailbox.drop-write',
  'mailbox.drop-ask',
  'mailbox.passivated',
  'mailbox.orphans-dropped',
  'mailbox.orphans-kept',
  'batch.size',
  'batch.depth',
  'batch.time',
  'batch.drain',
  'batch.solo',
  'batch.partial',
  'state.counted-before',
  'state.saved',
  'state.voided',
  'batch.timed-out',
  'batch.zombie-ended',
  'batch.host-recycled',
  'retry.attempt',
  'retry.free',
  'retry.exhausted',
  'retry.orphan-discarded',
  'dead.written',
  'dead.write-failed',
  'dead.skip',
  'dead.park-key',
  'dead.stop',
  'key.dead-letters-overflow',
  'key.parked',
  'key.unparked',
  'children.sent',
  'children.waited',
  'children.discarded',
  'host.crashed',
  'host.killed',
  'host.stuck',
  'host.replaced',
  'host.quarantined',
  'source.paused',
  'source.resumed',
  'source.restarted',
  'source.acked',
  'move.held',
  'move.released',
  'move.adopted',
  'move.host-died',
  'drain.started',
  'drain.finished',
] as const;

export type Transition = (typeof TRANSITIONS)[number];

/** The real environment of a thread. */
export function systemEnvironment(): Environment {
  return {
    clock: systemClock,
    random: Math.random,
    endOfTurn: fn => {
      setImmediate(fn);
    },
    soon: queueMicrotask,
  };
}

/** Longest time that setTimeout takes, 24.8 days: anything longer would fire at once. */
const LONGEST_MS = 2 ** 31 - 1;

const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => performance.timeOrigin + performance.now(),
  after(ms, fn) {
    let handle: NodeJS.Timeout;
    const arm = (left: number): void => {
      handle = left <= LONGEST_MS ? setTimeout(fn, left) : setTimeout(() => arm(left - LONGEST_MS), LONGEST_MS);
    };
    arm(ms);
    return { cancel: () => clearTimeout(handle) };
  },
};
