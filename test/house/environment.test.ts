/** The real clock: what lies between the engine and the timers of Node. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { systemEnvironment } from '../../runtime/environment.ts';

const DAY = 86_400_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

it.each([1, 1000, 2 ** 31 - 1, 2 ** 31, 365 * DAY])('a timer of %d ms rings when that time is over, and once', ms => {
  let rings = 0;
  systemEnvironment().clock.after(ms, () => rings++);
  vi.advanceTimersByTime(ms - 1);
  expect(rings).toBe(0);
  vi.advanceTimersByTime(1);
  expect(rings).toBe(1);
  vi.advanceTimersByTime(100 * DAY);
  expect(rings).toBe(1);
});

it('a long timer can be cancelled at any time, and one without end never rings', () => {
  const { clock } = systemEnvironment();
  const timer = clock.after(100 * DAY, () => expect.unreachable());
  const never = clock.after(Number.POSITIVE_INFINITY, () => expect.unreachable());
  vi.advanceTimersByTime(60 * DAY);
  expect(vi.getTimerCount()).toBe(2);
  timer.cancel();
  timer.cancel();
  vi.advanceTimersByTime(1000 * DAY);
  expect(vi.getTimerCount()).toBe(1);
  never.cancel();
  expect(vi.getTimerCount()).toBe(0);
});
