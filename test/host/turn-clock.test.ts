import { describe, expect, test } from 'vitest';
import type { Clock } from '../../runtime/environment.ts';
import { Cell } from '../../runtime/host/cell.ts';
import { TurnClock } from '../../runtime/host/turn-clock.ts';
import { actorSchema, runtimeSchema } from '../../runtime/topology/options.ts';

/** A clock that counts how often it was read, and an actor whose turns take what they are told to. */
function bench() {
  let time = 0;
  const read = { times: 0 };
  const clock = new TurnClock({
    now: () => {
      read.times++;
      return time;
    },
  } as Clock);
  const cellNamed = (name: string) =>
    new Cell(0, name, { handle: () => {} } as never, actorSchema.parse({}), runtimeSchema.parse({}), false);
  const turn = (cell: Cell, ms: number, wentOn = false): void => {
    const began = clock.begin(cell);
    time += ms;
    clock.end(cell, began, began, wentOn);
  };
  const quicken = (cell: Cell): void => {
    for (let i = 0; i < 64; i++) turn(cell, 0.001);
  };
  clock.tick();
  return { clock, read, cellNamed, turn, quicken };
}

describe('turn clock', () => {
  test('a slow handler is timed by itself', () => {
    const { cellNamed, turn } = bench();
    const cell = cellNamed('a');
    for (const ms of [0.2, 5, 0.2]) turn(cell, ms);
    expect([cell.stats.processing.count, cell.stats.processing.max]).toEqual([3, 5000]);
    expect(cell.stats.processing.sum).toBe(5400);
  });

  test('reads the clock once for eight quick turns', () => {
    const { read, cellNamed, turn, quicken } = bench();
    const cell = cellNamed('a');
    quicken(cell);
    read.times = 0;
    for (let i = 0; i < 80; i++) turn(cell, 0.002);
    expect(read.times).toBe(10);
    expect([cell.stats.processing.count, cell.stats.processing.max]).toEqual([144, 2]);
    expect(cell.stats.endToEnd.count).toBe(144);
  });

  test.each([0, 3, 7])('a slow turn among quick ones is recorded once, at its length (place %i of 8)', place => {
    const { read, cellNamed, turn, quicken } = bench();
    const cell = cellNamed('a');
    quicken(cell);
    for (let i = 0; i < 8; i++) turn(cell, i === place ? 5 : 0.001);
    const { processing, endToEnd } = cell.stats;
    for (const times of [processing, endToEnd]) {
      expect(times.count).toBe(72);
      expect(times.max).toBeGreaterThanOrEqual(5000);
      expect(times.percentile(98)).toBeLessThan(10);
    }
    read.times = 0;
    for (let i = 0; i < 64; i++) turn(cell, 0.001);
    expect(read.times).toBe(64);
  });

  test('rest records what is left, and nothing twice', () => {
    const { clock, read, cellNamed, turn, quicken } = bench();
    const cell = cellNamed('a');
    quicken(cell);
    turn(cell, 3);
    clock.rest();
    read.times = 0;
    clock.rest();
    clock.tick();
    expect(read.times).toBe(1);
    expect([cell.stats.processing.count, cell.stats.processing.max]).toEqual([65, 3000]);
  });

  test('the turns of one actor are not told of another', () => {
    const { cellNamed, turn, quicken } = bench();
    const [a, b] = [cellNamed('a'), cellNamed('b')];
    quicken(a);
    quicken(b);
    turn(a, 4);
    turn(b, 0.001);
    expect([a.stats.processing.max, b.stats.processing.max]).toEqual([4000, 1]);
  });

  test('a handler that goes on is timed by itself', () => {
    const { clock, cellNamed, turn, quicken } = bench();
    const cell = cellNamed('a');
    quicken(cell);
    turn(cell, 0.001);
    turn(cell, 30, true);
    clock.rest();
    expect([cell.stats.processing.count, cell.quickTurns]).toEqual([66, 0]);
    expect(cell.stats.processing.max).toBeGreaterThanOrEqual(30_000);
  });
});
