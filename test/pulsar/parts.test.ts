/** The small parts that the bus counts on, each against a plain model. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AckedRanges } from '../../actors/pulsar/bus/acked-ranges.ts';
import { DelayLine } from '../../actors/pulsar/bus/delay-line.ts';
import { Delayed } from '../../actors/pulsar/bus/delayed.ts';
import { Replay } from '../../actors/pulsar/bus/replay.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';

describe('acknowledged runs', () => {
  test('hold what a set of numbers and a mark hold', () => {
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.nat(40).map(n => ({ add: n })) },
      { weight: 1, arbitrary: fc.nat(40).map(n => ({ settle: n })) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), steps => {
        let ranges = new AckedRanges();
        const set = new Set<number>();
        let mark = 0;
        for (const one of steps) {
          if ('add' in one && one.add >= mark) {
            expect(ranges.add(one.add)).toBe(!set.has(one.add));
            set.add(one.add);
          } else if ('settle' in one) mark = Math.max(mark, one.settle);
          while (set.has(mark)) mark++;
          for (const n of set) if (n < mark) set.delete(n);
          expect(ranges.settle(mark)).toBe(mark);
          const copy = ranges.copy();
          ranges.add(1000); // the copy must not see it
          ranges = AckedRanges.fromJson(copy.toJson());
          expect(ranges.size).toBe(set.size);
          for (let n = mark; n <= 41; n++) expect(ranges.has(n)).toBe(set.has(n));
          for (let n = mark; n <= 41; n++) expect(ranges.countBelow(n)).toBe([...set].filter(one => one < n).length);
          for (let n = mark; n <= 41; n++) {
            let from = n;
            while (set.has(from)) from++;
            let to = from;
            while (!set.has(to) && to < 50) to++;
            expect(ranges.gap(n)).toEqual({ from, to: to === 50 ? Number.POSITIVE_INFINITY : to });
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  test('settling reaches over the run that the mark has come to', () => {
    const ranges = new AckedRanges();
    for (const n of [1, 2, 3, 7]) ranges.add(n);
    expect(ranges.settle(0)).toBe(0);
    expect(ranges.settle(1)).toBe(4);
    expect(ranges.size).toBe(1);
    expect(ranges.toJson()).toBe('[7,1]');
    for (const bad of ['[', '[1,0]', '{"a":1']) expect(() => AckedRanges.fromJson(bad)).toThrow();
  });
});

test('messages wait for their time in its order, and those that are taken out are gone', () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ seq: fc.nat(30), at: fc.nat(20) }) },
    { weight: 2, arbitrary: fc.nat(30).map(gone => ({ gone })) },
    { weight: 1, arbitrary: fc.nat(20).map(now => ({ now })) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), steps => {
      const delayed = new Delayed();
      const at = new Map<number, number>();
      /** A message keeps its time. */
      const timeOf = (seq: number, first: number) => (seq * 7 + first * 0) % 20;
      for (const one of steps) {
        if ('seq' in one) {
          delayed.add(one.seq, timeOf(one.seq, one.at));
          at.set(one.seq, timeOf(one.seq, one.at));
        } else if ('gone' in one) expect(delayed.delete(one.gone)).toBe(at.delete(one.gone));
        else {
          const due = [...at].filter(([, time]) => time <= one.now).sort((a, b) => a[1] - b[1] || a[0] - b[0]);
          expect(delayed.takeDue(one.now)).toEqual(due.map(([seq]) => seq));
          for (const [seq] of due) at.delete(seq);
        }
        expect(delayed.size).toBe(at.size);
        expect(delayed.nextAt).toBe(at.size === 0 ? undefined : Math.min(...at.values()));
      }
    }),
    { numRuns: 200 },
  );
});

test('a delay line tells what is due, once, with one timer', async () => {
  const environment = virtualEnvironment();
  const due: [number, readonly number[]][] = [];
  const line = new DelayLine(environment.clock, 100, numbers => due.push([environment.clock.now(), numbers]));
  line.add(1);
  line.add(2);
  await environment.advance(50);
  line.add(3);
  line.add(1); // waits already
  line.delete(2);
  expect(environment.pendingTimers).toBe(1);
  await environment.advance(500);
  expect(due).toEqual([
    [100, [1]],
    [150, [3]],
  ]);
  line.add(4);
  line.clear();
  await environment.advance(500);
  expect(due).toHaveLength(2);
  expect(environment.pendingTimers).toBe(0);
});

test('what is to be given again is shown in order, and leaves or stays as is said', () => {
  const replay = new Replay();
  for (const seq of [5, 1, 9, 3, 7, 5]) replay.add(seq);
  expect(replay.size).toBe(5);
  expect(replay.delete(9)).toBe(true);
  expect(replay.delete(9)).toBe(false);
  const seen: number[] = [];
  replay.sweep(seq => {
    seen.push(seq);
    return seq === 1 ? 'leaves' : seq === 3 ? 'stays' : 'ends';
  });
  expect(seen).toEqual([1, 3, 5]);
  expect(() =>
    replay.sweep(seq => {
      if (seq === 5) throw new Error('cannot be read');
      return 'leaves';
    }),
  ).toThrow('cannot be read');
  const left: number[] = [];
  replay.sweep(seq => {
    left.push(seq);
    return 'leaves';
  });
  expect(left).toEqual([5, 7]);
  expect(replay.size).toBe(0);
});
