/**
 * The breaker against a model of it: the rules of X2 written down as plainly as possible, with time as a number and
 * without promises. Any sequence of calls, waits and forcings must leave both in the same state.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeymillError } from '../../runtime/errors.ts';
import type { BreakerState } from '../../runtime/policies/breaker.ts';
import { createPolicy } from '../../runtime/policies/policy.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';
import { failing } from './helpers.ts';

const RULES = { failures: 3, openMs: 100, openFactor: 2, maxOpenMs: 400, successes: 2 };

type Result = 'good' | 'transient' | 'throttled' | 'unknown' | 'poison' | 'fatal';

class Model {
  state: BreakerState = 'closed';
  readonly #probes: boolean;
  #up = true;
  #now = 0;
  #inARow = 0;
  #good = 0;
  #openMs = RULES.openMs;
  #halfOpenAt = 0;

  constructor(probes: boolean) {
    this.#probes = probes;
  }

  /** Whether the call is let through. */
  call(result: Result): boolean {
    const admitted =
      this.state === 'closed' || this.state === 'forcedClosed' || (this.state === 'halfOpen' && !this.#probes);
    if (admitted && result !== 'poison' && result !== 'fatal') this.#count(result === 'good');
    return admitted;
  }

  #count(good: boolean): void {
    if (this.state === 'closed') {
      this.#inARow = good ? 0 : this.#inARow + 1;
      if (this.#inARow === RULES.failures) this.#open();
    } else if (this.state === 'halfOpen') {
      if (!good) this.#open();
      else if (++this.#good === RULES.successes) this.#close();
    }
  }

  wait(ms: number): void {
    const until = this.#now + ms;
    while (this.state === 'open' && this.#halfOpenAt <= until) {
      this.#now = this.#halfOpenAt;
      this.state = 'halfOpen';
      this.#good = 0;
      while (this.#probes && (this.state as BreakerState) === 'halfOpen') this.#count(this.#up);
    }
    this.#now = until;
  }

  dependency(up: boolean): void {
    this.#up = up;
  }

  force(to: 'open' | 'closed' | 'auto'): void {
    if (to === 'open') this.state = 'forcedOpen';
    else if (to === 'closed') this.state = 'forcedClosed';
    else if (this.state === 'forcedOpen' || this.state === 'forcedClosed') this.#close();
  }

  #open(): void {
    this.state = 'open';
    this.#halfOpenAt = this.#now + this.#openMs;
    this.#openMs = Math.min(RULES.maxOpenMs, this.#openMs * RULES.openFactor);
  }

  #close(): void {
    this.state = 'closed';
    this.#inARow = 0;
    this.#openMs = RULES.openMs;
  }
}

type Step =
  | { do: 'call'; result: Result }
  | { do: 'wait'; ms: number }
  | { do: 'dependency'; up: boolean }
  | { do: 'force'; to: 'open' | 'closed' | 'auto' };

const results: fc.Arbitrary<Result> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Result>('good') },
  { weight: 6, arbitrary: fc.constantFrom<Result>('transient', 'throttled', 'unknown') },
  { weight: 2, arbitrary: fc.constantFrom<Result>('poison', 'fatal') },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('call' as const), result: results }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.oneof(fc.constantFrom(99, 100, 200, 400), fc.nat(500)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('dependency' as const), up: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('force' as const),
      to: fc.constantFrom('open' as const, 'closed' as const, 'auto' as const),
    }),
  },
);

describe.each([
  ['without a probe', false],
  ['with a probe', true],
])('the breaker %s', (_, probes) => {
  it('is always in the state that the model is in', async () => {
    const seen = new Set<BreakerState>();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 100, size: 'max' }), async steps => {
        const environment = virtualEnvironment();
        const model = new Model(probes);
        let up = true;
        const probe = async () => {
          if (!up) throw new Error('down');
        };
        const policy = createPolicy('p', { breaker: RULES, probe: probes ? probe : undefined }, environment);
        for (const next of steps) {
          if (next.do === 'call') {
            const { result } = next;
            const answer = await policy.execute(result === 'good' ? () => 'good' : failing(result)).catch(e => e);
            const admitted = !(answer instanceof KeymillError && answer.code === 'BREAKER_OPEN');
            expect(admitted).toBe(model.call(result));
          } else if (next.do === 'wait') {
            await environment.advance(next.ms);
            model.wait(next.ms);
          } else if (next.do === 'dependency') {
            up = next.up;
            model.dependency(next.up);
          } else {
            policy.force(next.to);
            model.force(next.to);
          }
          expect(policy.state).toBe(model.state);
          seen.add(policy.state);
        }
        policy.close();
        expect(environment.pendingTimers).toBe(0);
      }),
      { numRuns: 500 },
    );
    // The run is worth something only if it went everywhere; a probe passes through halfOpen within one wait.
    const reached: BreakerState[] = ['closed', 'open', 'forcedOpen', 'forcedClosed'];
    for (const state of probes ? reached : [...reached, 'halfOpen' as const]) expect(seen).toContain(state);
  });
});
