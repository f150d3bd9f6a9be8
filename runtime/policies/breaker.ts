/**
 * The circuit breaker. The state machine is ours: cockatiel 4's reads Date.now, leaves open only when a call comes by,
 * cannot be forced closed and has no probe. Its counting strategies are used (trip.ts), and its back-off for openMs.
 *
 *   closed ── trip ──▶ open ── openMs ──▶ halfOpen ── successes ──▶ closed        force('open')   ──▶ forcedOpen
 *                       ▲                    │                                    force('closed') ──▶ forcedClosed
 *                       └──── one failure ───┘                                    force('auto')   ──▶ closed
 *
 * In halfOpen either the probe decides (calls are refused meanwhile, so that paused sources need no traffic to resume)
 * or, without a probe, the first `successes` calls are let through as trials.
 */
import type { Environment, Timer } from '../environment.ts';
import type { KeymillError } from '../errors.ts';
import type { PolicySnapshot } from '../observe/stats.ts';
import { backoff } from './backoff.ts';
import type { BreakerOptions } from './options.ts';
import { policyError } from './policy-error.ts';
import { Scope } from './scope.ts';
import { Trip, type Verdict } from './trip.ts';
import { Waiters } from './waiters.ts';

export type BreakerState = PolicySnapshot['breaker'];

/** Asks the dependency whether it is well: resolves if so. The signal is aborted when its time is up. */
export type Probe = (signal: AbortSignal) => Promise<void>;

/** A call let through. What it found counts only while the breaker is in the state that let it through. */
export interface Pass {
  readonly generation: number;
}

export class Breaker {
  readonly #name: string;
  /** Without options it never opens by itself, but can be forced. */
  readonly #options: BreakerOptions | undefined;
  readonly #environment: Environment;
  readonly #probe: Probe | undefined;
  readonly #listeners = new Set<(state: BreakerState) => void>();
  readonly #waiters = new Waiters();
  #state: BreakerState = 'closed';
  /** Raised by every transition; results, timers and probes of an older one are void. */
  #generation = 0;
  #trip: Trip | undefined;
  #nextOpenMs: (() => number) | undefined;
  #timer: Timer | undefined;
  #halfOpenAt = 0;
  #probing: Scope | undefined;
  /** In halfOpen: trial calls running, and good results so far. Their sum never exceeds `successes`. */
  #trials = 0;
  #good = 0;
  #why = '';
  #cause: unknown;
  #rejected = 0;
  #closed = false;

  constructor(name: string, options: BreakerOptions | undefined, environment: Environment, probe?: Probe) {
    this.#name = name;
    this.#options = options;
    this.#environment = environment;
    this.#probe = probe;
    this.#startAfresh();
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Calls refused with BREAKER_OPEN so far. */
  get rejected(): number {
    return this.#rejected;
  }

  /** Whether a call made now would be let through. */
  get admits(): boolean {
    if (this.#state === 'halfOpen') return !this.#probe && this.#trials + this.#good < this.#options!.successes;
    return this.#state === 'closed' || this.#state === 'forcedClosed';
  }

  /** Throws BREAKER_OPEN if a call made now would be refused. */
  check(): void {
    if (this.admits) return;
    this.#rejected++;
    throw this.#refusal();
  }

  /** Lets a call through, or throws BREAKER_OPEN. Every pass is handed to `record` once. */
  admit(): Pass {
    this.check();
    if (this.#state === 'halfOpen') this.#trials++;
    return { generation: this.#generation };
  }

  /** Tells what became of a call that was let through, and how long it ran. */
  record(pass: Pass, verdict: Verdict, tookMs: number, error?: unknown): void {
    if (pass.generation !== this.#generation || this.#closed) return;
    if (this.#state === 'closed') {
      const why = this.#trip?.count(verdict, tookMs);
      if (why) this.#open(why, error);
    } else if (this.#state === 'halfOpen') {
      this.#trials--;
      this.#judge('trial call', verdict, tookMs, error);
    }
  }

  /** Takes the breaker out of automatic, or back to it. Back means closed, with nothing counted. */
  force(to: 'open' | 'closed' | 'auto'): void {
    const forced = this.#state === 'forcedOpen' || this.#state === 'forcedClosed';
    if (to === 'open') this.#become('forcedOpen');
    else if (to === 'closed') this.#become('forcedClosed');
    else if (forced) this.#become('closed');
  }

  /** Calls `listener` after each change of state, in turn with it. Returns how to stop that. */
  onState(listener: (state: BreakerState) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Resolves when calls may go through. Rejects with the signal's reason, or RUNTIME_STOPPED after `close`. */
  async waitUntilClosed(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#closed) throw policyError(this.#name, 'RUNTIME_STOPPED', 'it was closed');
    if (!this.admits) await this.#waiters.add(signal).promise;
  }

  /** Cancels timer and probe and rejects all that wait with `reason`. The state stays, save for `force`. */
  close(reason: unknown): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#probing?.abort(reason);
    this.#waiters.failAll(reason);
  }

  #open(why: string, error: unknown): void {
    this.#why = why;
    this.#cause = error;
    this.#become('open');
  }

  #become(state: BreakerState): void {
    if (state === this.#state) return;
    const generation = ++this.#generation;
    this.#timer?.cancel();
    this.#probing?.abort();
    this.#state = state;
    this.#trials = 0;
    this.#good = 0;
    if (state === 'closed') this.#startAfresh();
    if (state === 'open') this.#tryLater();
    if (state === 'halfOpen' && this.#probe) void this.#runProbes(this.#probe, generation);
    if (this.admits) this.#waiters.wakeAll();
    for (const listener of [...this.#listeners]) {
      if (generation !== this.#generation) return; // a listener forced another state, which all have been told of
      tell(listener, state);
    }
  }

  #startAfresh(): void {
    const options = this.#options;
    if (!options) return;
    const { openMs, openFactor, maxOpenMs = 10 * openMs } = options;
    this.#trip = new Trip(options);
    const shape = { delayMs: openMs, factor: openFactor, maxDelayMs: maxOpenMs, jitter: 0 };
    this.#nextOpenMs = backoff(shape, this.#environment.random);
    this.#cause = undefined;
  }

  #tryLater(): void {
    const openMs = this.#nextOpenMs!();
    const { clock } = this.#environment;
    this.#halfOpenAt = clock.now() + openMs;
    this.#timer = clock.after(openMs, () => this.#become('halfOpen'));
  }

  /** Probes one after the other until one fails or enough were good; either way the state changes and ends the loop. */
  async #runProbes(probe: Probe, generation: number): Promise<void> {
    const { clock } = this.#environment;
    const limitMs = this.#options!.probeTimeoutMs;
    const expired = () => policyError(this.#name, 'TIMEOUT', `a probe took longer than ${limitMs} ms`);
    while (generation === this.#generation && !this.#closed) {
      const scope = new Scope(clock, { limitMs, expired });
      this.#probing = scope;
      const startedAt = clock.now();
      let verdict: Verdict = 'good';
      let error: unknown;
      try {
        await scope.run(() => probe(scope.signal));
      } catch (thrown) {
        verdict = 'bad';
        error = thrown;
      }
      scope.close();
      if (this.#probing === scope) this.#probing = undefined;
      if (generation !== this.#generation || this.#closed) return;
      this.#judge('probe', verdict, clock.now() - startedAt, error);
    }
  }

  /** Counts the result of a trial call or probe in halfOpen. */
  #judge(what: string, verdict: Verdict, tookMs: number, error: unknown): void {
    if (verdict === 'bad') this.#open(`a ${what} failed`, error);
    else if (this.#trip!.isSlow(tookMs)) this.#open(`a ${what} took ${Math.round(tookMs)} ms`, error);
    else if (verdict === 'good' && ++this.#good >= this.#options!.successes) this.#become('closed');
    else if (this.admits) this.#waiters.wakeAll();
  }

  #refusal(): KeymillError {
    if (this.#state === 'forcedOpen') return policyError(this.#name, 'BREAKER_OPEN', 'forced open by an operator');
    const leftMs = Math.max(0, Math.round(this.#halfOpenAt - this.#environment.clock.now()));
    const next = this.#state === 'open' ? `tried again in ${leftMs} ms` : 'being tried again now';
    return policyError(this.#name, 'BREAKER_OPEN', `open because ${this.#why}; ${next}`, this.#cause);
  }
}

/** A listener that throws must not turn the call that moved the breaker into a failed one: its error goes uncaught. */
function tell(listener: (state: BreakerState) => void, state: BreakerState): void {
  try {
    listener(state);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
