/**
 * A policy: how calls to one dependency are guarded. One pipeline, in this order from outside in:
 *
 *   deadline → retry (with budget) → breaker → bulkhead → time-out of the try
 *
 * The deadline bounds everything inside it; a retry passes the breaker anew; an open breaker queues nobody; a slot is
 * held only while a try runs. From cockatiel: the chain of delays (backoff.ts) and the counting of failures (trip.ts).
 * The rest is ours, since cockatiel's policies take time and chance from setTimeout, Date.now and Math.random and
 * cannot run under the simulation's clock.
 */
import type { Environment } from '../environment.ts';
import { classOf, type ErrorClass, type ErrorCode, type KeymillError } from '../errors.ts';
import type { PolicySnapshot } from '../observe/stats.ts';
import { backoff, retryShape } from './backoff.ts';
import { Breaker, type BreakerState, type Probe } from './breaker.ts';
import { Bulkhead } from './bulkhead.ts';
import { type PolicyOptions, type PolicyOptionsInput, parsePolicyOptions } from './options.ts';
import { policyError } from './policy-error.ts';
import { RetryBudget } from './retry-budget.ts';
import { Scope } from './scope.ts';
import type { Verdict } from './trip.ts';
import { type Try, tryContext } from './try.ts';
import { Waiters } from './waiters.ts';

export type { Try };

export interface ExecuteOptions {
  /** Gives the call up. May be shared by any number of calls. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds left to the call. The policy's own deadline may be shorter. */
  readonly deadlineMs?: number | undefined;
}

/** The functions of a policy, which no schema can hold. */
export interface PolicyHooks {
  /** Overrides the class of an error; undefined leaves it (classOf). */
  readonly classify?: ((error: unknown) => ErrorClass | undefined) | undefined;
  /** Called while the breaker is half open, instead of trial calls. */
  readonly probe?: Probe | undefined;
}

/**
 * Makes the policy `name`. Parts that `options` leaves out are off. Throws CONFIG_INVALID. Close it when it is no longer
 * needed: an open breaker keeps a timer.
 */
export function createPolicy(
  name: string,
  { classify, probe, ...options }: PolicyOptionsInput & PolicyHooks,
  environment: Environment,
): Policy {
  return new Policy(name, parsePolicyOptions(name, options), environment, { classify, probe });
}

export class Policy {
  readonly name: string;
  readonly #options: PolicyOptions;
  readonly #environment: Environment;
  readonly #classify: PolicyHooks['classify'];
  readonly #budget: RetryBudget | undefined;
  readonly #breaker: Breaker;
  readonly #bulkhead: Bulkhead | undefined;
  /** Calls between two tries. */
  readonly #pausing = new Waiters();
  #closed = false;
  #calls = 0;
  #failures = 0;
  #retries = 0;
  #timeouts = 0;

  constructor(name: string, options: PolicyOptions, environment: Environment, hooks: PolicyHooks = {}) {
    this.name = name;
    this.#options = options;
    this.#environment = environment;
    this.#classify = hooks.classify;
    this.#breaker = new Breaker(name, options.breaker, environment, hooks.probe);
    if (options.retry?.budget) this.#budget = new RetryBudget(options.retry.budget, environment.clock);
    if (options.bulkhead) this.#bulkhead = new Bulkhead(name, options.bulkhead);
  }

  /**
   * Calls `fn` under the policy and settles as its last try did. Transient, throttled and unknown errors are tried
   * again; poison and fatal ones never, nor do they count against the dependency. Rejects by itself with BREAKER_OPEN
   * (at once, not retried), BULKHEAD_FULL, TIMEOUT (of the last try), DEADLINE (also when the next delay would not fit
   * in it), RUNTIME_STOPPED after `close`, or the reason of the caller's signal.
   */
  async execute<T>(fn: (ctx: Try) => Promise<T> | T, options: ExecuteOptions = {}): Promise<T> {
    this.#calls++;
    this.#budget?.call();
    let lastError: unknown;
    let nextDelayMs: (() => number) | undefined;
    const limitMs = Math.min(options.deadlineMs ?? Number.POSITIVE_INFINITY, orNever(this.#options.deadlineMs));
    const expired = (ms: number) => this.#expired('DEADLINE', `not done within ${Math.round(ms)} ms`, lastError);
    const call = new Scope(this.#environment.clock, { parent: options.signal, limitMs, expired });
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#attempt(fn, call, attempt);
        } catch (error) {
          const { retry } = this.#options;
          if (!retry || attempt >= retry.attempts || call.signal.aborted || !this.#mayRetry(error)) throw error;
          lastError = error;
          nextDelayMs ??= backoff(retryShape(retry), this.#environment.random);
          const delayMs = nextDelayMs();
          if (call.leftMs !== undefined && delayMs >= call.leftMs)
            throw this.#error('DEADLINE', `no time left for another try after ${attempt}`, error);
          if (this.#budget && !this.#budget.take()) throw error;
          await this.#pause(delayMs, call.signal);
          this.#retries++;
        }
      }
    } finally {
      call.close();
    }
  }

  get state(): BreakerState {
    return this.#breaker.state;
  }

  /** Holds the breaker open or closed whatever happens; 'auto' gives it back its own judgement, starting closed. */
  force(to: 'open' | 'closed' | 'auto'): void {
    this.#breaker.force(to);
  }

  /** Calls `listener` after each change of the breaker's state, in turn with it. Returns how to stop that. */
  onState(listener: (state: BreakerState) => void): () => void {
    return this.#breaker.onState(listener);
  }

  /**
   * Resolves when calls may go through: closed, forced closed, or half open with room for a trial call. Others may be
   * faster, so a caller loops. Rejects with the signal's reason, or RUNTIME_STOPPED.
   */
  waitUntilClosed(signal?: AbortSignal): Promise<void> {
    return this.#breaker.waitUntilClosed(signal);
  }

  /**
   * Totals since the start. calls: of `execute`. failures: tries that failed, time-outs included, those given up by
   * their caller or cut by the deadline not. timeouts: tries and calls whose time was up. rejected: by breaker or bulkhead.
   */
  snapshot(): PolicySnapshot {
    return {
      name: this.name,
      breaker: this.state,
      calls: this.#calls,
      failures: this.#failures,
      retries: this.#retries,
      timeouts: this.#timeouts,
      rejected: this.#breaker.rejected + (this.#bulkhead?.rejected ?? 0),
    };
  }

  /**
   * Takes no more calls; cancels the breaker's timer and probe; rejects with RUNTIME_STOPPED what waits for a slot, for
   * its next try or for the breaker. A try that is running goes on within its time and is not retried.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const reason = this.#error('RUNTIME_STOPPED', 'closed while this call waited');
    this.#breaker.close(reason);
    this.#bulkhead?.close(reason);
    this.#pausing.failAll(reason);
  }

  async #attempt<T>(fn: (ctx: Try) => Promise<T> | T, call: Scope, attempt: number): Promise<T> {
    call.signal.throwIfAborted();
    if (this.#closed) throw this.#error('RUNTIME_STOPPED', 'it was closed');
    if (!this.#bulkhead) return this.#admitted(fn, call, attempt);
    this.#breaker.check();
    await this.#bulkhead.enter(call.signal);
    try {
      return await this.#admitted(fn, call, attempt); // asks the breaker again: it may have opened during the wait
    } finally {
      this.#bulkhead.leave();
    }
  }

  async #admitted<T>(fn: (ctx: Try) => Promise<T> | T, call: Scope, attempt: number): Promise<T> {
    const { clock } = this.#environment;
    const pass = this.#breaker.admit();
    const scope = this.#limit(call, attempt);
    const startedAt = clock.now();
    let verdict: Verdict = 'none';
    let failure: unknown;
    try {
      const result = await scope.run(() => fn(tryContext(scope, attempt)));
      verdict = 'good';
      return result;
    } catch (error) {
      failure = error;
      if (!call.signal.aborted) {
        this.#failures++;
        if (this.#mayHeal(error)) verdict = 'bad';
      }
      throw error;
    } finally {
      if (scope !== call) scope.close();
      this.#breaker.record(pass, verdict, clock.now() - startedAt, failure);
    }
  }

  /** The scope of one try. Where the deadline comes first it is the call's own, and the error is DEADLINE. */
  #limit(call: Scope, attempt: number): Scope {
    const limitMs = orNever(this.#options.timeoutMs);
    if (limitMs >= (call.leftMs ?? Number.POSITIVE_INFINITY)) return call;
    const expired = () => this.#expired('TIMEOUT', `try ${attempt} took longer than ${limitMs} ms`);
    return new Scope(this.#environment.clock, { parent: call.signal, limitMs, expired });
  }

  /** No retry after close, nor against a breaker that would refuse it: then the dependency's own error says more. */
  #mayRetry(error: unknown): boolean {
    return !this.#closed && this.#breaker.admits && this.#mayHeal(error);
  }

  /** Whether an error is not the caller's fault: then it is retried and, if a try raised it, counted by the breaker. */
  #mayHeal(error: unknown): boolean {
    const errorClass = this.#classify?.(error) ?? classOf(error);
    return errorClass !== 'poison' && errorClass !== 'fatal';
  }

  async #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    const waiter = this.#pausing.add(signal);
    const timer = this.#environment.clock.after(delayMs, waiter.wake);
    try {
      await waiter.promise;
    } finally {
      timer.cancel();
    }
  }

  #expired(code: 'DEADLINE' | 'TIMEOUT', detail: string, cause?: unknown): KeymillError {
    this.#timeouts++;
    return this.#error(code, detail, cause);
  }

  #error(code: ErrorCode, detail: string, cause?: unknown): KeymillError {
    return policyError(this.name, code, detail, cause);
  }
}

/** 0 means no limit in the options. */
function orNever(ms: number): number {
  return ms === 0 ? Number.POSITIVE_INFINITY : ms;
}
