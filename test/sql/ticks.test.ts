import { expect, test } from 'vitest';
import { Pauses } from '../../actors/sql/changes/pause.ts';
import { Ticks } from '../../actors/sql/changes/ticks.ts';

/** A clock that goes when it is told to. */
class Hand {
  time = 1003.5;
  /** Timers ring so much before their time. */
  early = 0;
  readonly #timers = new Set<{ at: number; fn: () => void }>();
  readonly now = (): number => this.time;
  readonly wall = this.now;

  after(ms: number, fn: () => void) {
    const timer = { at: this.time + ms - this.early, fn };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** Rings what is due on the way. */
  goTo(time: number): void {
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.at - b.at);
      if (!next || next.at > time) break;
      this.#timers.delete(next);
      this.time = Math.max(this.time, next.at);
      next.fn();
    }
    this.time = time;
  }
}

test('pauses that began at different times end together, at multiples of their length', () => {
  const clock = new Hand();
  const ticks = new Ticks(clock);
  const rung: string[] = [];
  const ring = (name: string) => () => rung.push(`${name} ${Math.floor(clock.time)}`);
  ticks.after(50, ring('a'));
  clock.goTo(1020);
  ticks.after(50, ring('b'));
  ticks.after(100, ring('c'));
  ticks.after(200, ring('d'));
  expect(clock.timers).toBe(3);
  clock.goTo(1150);
  expect(rung).toEqual(['a 1050', 'b 1050', 'c 1100']);
  // On a tick: the next one.
  clock.time = 1150;
  ticks.after(50, ring('e'));
  clock.goTo(1300);
  expect(rung.slice(3)).toEqual(['d 1200', 'e 1200']);
  expect(clock.timers).toBe(0);
});

test('one that is cancelled is not called, and the timer goes with the last', () => {
  const clock = new Hand();
  const ticks = new Ticks(clock);
  let rung = 0;
  const pauses = [1, 2, 3].map(() => ticks.after(50, () => rung++));
  pauses[0]!.cancel();
  expect(clock.timers).toBe(1);
  clock.goTo(1051);
  expect(rung).toBe(2);
  const last = ticks.after(50, () => rung++);
  last.cancel();
  last.cancel();
  expect(clock.timers).toBe(0);
  pauses[1]!.cancel();
  clock.goTo(2000);
  expect(rung).toBe(2);
});

test('a timer that rings too early does not make two ticks of one', () => {
  const clock = new Hand();
  clock.early = 0.7;
  const ticks = new Ticks(clock);
  const rung: number[] = [];
  const again = (): void => {
    rung.push(clock.time);
    if (rung.length < 3) ticks.after(50, again);
  };
  ticks.after(50, again);
  clock.goTo(1300);
  expect(rung.map(time => Math.round(time / 10) * 10)).toEqual([1050, 1100, 1150]);
});

test('after a look that took longer than the pause comes one that is longer than it took', () => {
  const pauses = new Pauses({ min: 50, max: 100 });
  expect(pauses.after(true, 49)).toBe(50);
  expect(pauses.after(true, 51)).toBe(100);
  expect(pauses.after(true, 201)).toBe(400);
  expect([1, 2, 3].map(() => pauses.after(false, 1))).toEqual([50, 100, 100]);
});
