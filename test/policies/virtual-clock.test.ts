import { describe, expect, it } from 'vitest';
import { virtualEnvironment } from '../support/virtual-clock.ts';

describe('the virtual clock', () => {
  it('runs due timers in order of time, then of creation, at their own time', async () => {
    const environment = virtualEnvironment();
    const { clock } = environment;
    const seen: string[] = [];
    const note = (name: string) => () => seen.push(`${name}@${clock.now()}`);
    clock.after(20, note('b'));
    clock.after(10, note('a'));
    clock.after(20, note('c'));
    clock.after(21, note('late'));
    clock.after(15, note('never')).cancel();
    await environment.advance(20);
    expect(seen).toEqual(['a@10', 'b@20', 'c@20']);
    expect(environment.pendingTimers).toBe(1);
  });

  it('lets promises run between two timers, so that they can set new ones that fall due', async () => {
    const environment = virtualEnvironment();
    const { clock } = environment;
    const seen: number[] = [];
    const sleep = (ms: number) => new Promise<void>(resolve => clock.after(ms, resolve));
    const done = (async () => {
      for (let i = 0; i < 4; i++) {
        await sleep(10);
        seen.push(clock.now());
      }
    })();
    await environment.advance(35);
    expect(seen).toEqual([10, 20, 30]);
    await environment.advance(5);
    await done;
    expect(clock.wall() - virtualEnvironment().clock.wall()).toBe(40);
  });

  it('ends turns in order and gives the same chance for the same seed', async () => {
    const environment = virtualEnvironment(7);
    const seen: number[] = [];
    environment.endOfTurn(() => environment.endOfTurn(() => seen.push(2)));
    environment.endOfTurn(() => seen.push(1));
    await environment.settle();
    expect(seen).toEqual([1, 2]);
    const draw = (seed: number) => Array.from({ length: 100 }, virtualEnvironment(seed).random);
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(draw(7).every(n => n >= 0 && n < 1)).toBe(true);
  });
});
