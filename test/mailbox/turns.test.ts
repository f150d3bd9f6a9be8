/** Whose turn it is (E3, E6, rule 12). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Mailbox } from '../../runtime/mailbox/mailbox.ts';
import { Turns } from '../../runtime/mailbox/turns.ts';
import { item } from '../support/items.ts';

function mailbox(name: string | number, priority = 4): Mailbox {
  const made = new Mailbox(0, name, 0);
  made.push(item(), priority);
  return made;
}

function drain(turns: Turns, now = 0): (string | number | bigint)[] {
  const order: (string | number | bigint)[] = [];
  for (let next = turns.next(now); next !== null; next = turns.next(now)) order.push(next.key);
  return order;
}

describe('turns', () => {
  it('go round: who had one stands at the end again, hot or cold', () => {
    const turns = new Turns(1000);
    for (const name of ['a', 'b', 'c']) turns.push(mailbox(name), 0);
    const order: unknown[] = [];
    for (let i = 0; i < 9; i++) {
      const next = turns.next(i)!;
      order.push(next.key);
      turns.push(next, i);
    }
    expect(order).toEqual(['a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c']);
  });

  it('come in order of priority, and in order of arrival within one', () => {
    const turns = new Turns(1000);
    for (const [name, priority] of [
      ['d', 7],
      ['b', 4],
      ['a', 0],
      ['c', 4],
    ] as const)
      turns.push(mailbox(name, priority), 0);
    expect(drain(turns)).toEqual(['a', 'b', 'c', 'd']);
    expect(turns.size).toBe(0);
    expect(turns.next(0)).toBeNull();
  });

  it('lift who waits by one priority for every ageMs', () => {
    const turns = new Turns(100);
    const urgent = (now: number): void => turns.push(mailbox('urgent', 0), now);
    turns.push(mailbox('patient', 3), 0);
    for (const now of [0, 100, 200, 299]) {
      urgent(now);
      expect(turns.next(now)!.key).toBe('urgent');
    }
    urgent(301);
    expect(turns.next(301)!.key).toBe('patient');
  });

  it('never age when ageMs is 0', () => {
    const turns = new Turns(0);
    turns.push(mailbox('patient', 7), 0);
    turns.push(mailbox('urgent', 6), 1e9);
    expect(drain(turns, 1e9)).toEqual(['urgent', 'patient']);
  });

  it('let nothing starve, however many more urgent ones keep coming', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.array(fc.nat({ max: 6 }), { minLength: 5, maxLength: 20 }),
        (priority, stream) => {
          const turns = new Turns(10);
          turns.push(mailbox('low', priority), 0);
          // One more urgent mailbox for every turn taken, one millisecond apart.
          for (let now = 0; now <= 10 * 7 + stream.length + 1; now++) {
            turns.push(mailbox(`n${now}`, Math.min(priority, stream[now % stream.length]!)), now);
            if (turns.next(now)!.key === 'low') return;
          }
          throw new Error('it starved');
        },
      ),
    );
  });

  it('raise a mailbox that gets a more urgent message while it stands in line, and never lower one', () => {
    const turns = new Turns(1000);
    const [a, b] = [mailbox('a', 4), mailbox('b', 4)];
    turns.push(a, 0);
    turns.push(b, 0);
    turns.raise(b, 6);
    expect(b.priority).toBe(4);
    turns.raise(b, 1);
    expect(b.priority).toBe(1);
    expect(turns.size).toBe(2);
    expect(drain(turns)).toEqual(['b', 'a']);
  });

  it('say where a mailbox stands', () => {
    const turns = new Turns(1000);
    const a = mailbox('a');
    turns.push(a, 5);
    expect(a).toMatchObject({ standing: 'ready', line: 'turns', readySince: 5 });
    turns.remove(a);
    expect(a).toMatchObject({ standing: 'waiting', line: null });
    expect([turns.size, turns.next(9)]).toEqual([0, null]);
    turns.push(a, 6);
    expect(turns.next(9)).toBe(a);
    expect(a).toMatchObject({ standing: 'waiting', line: null });
  });

  it('choose as a plain model would: the lowest of priority less age, the first of equals', () => {
    const op = fc.record({
      op: fc.constantFrom('push', 'push', 'next', 'remove', 'raise', 'wait'),
      a: fc.nat({ max: 7 }),
      b: fc.nat({ max: 40 }),
    });
    fc.assert(
      fc.property(fc.array(op, { maxLength: 60 }), ops => {
        const turns = new Turns(10);
        const lines: Mailbox[][] = Array.from({ length: 8 }, () => []);
        let now = 0;
        let n = 0;
        for (const { op, a, b } of ops) {
          const all = lines.flat();
          const picked = all[b % Math.max(1, all.length)];
          if (op === 'wait') now += b;
          else if (op === 'push') {
            const one = mailbox(n++, a);
            turns.push(one, now);
            lines[a]!.push(one);
          } else if (op === 'remove' && picked) {
            lines[picked.priority] = lines[picked.priority]!.filter(one => one !== picked);
            turns.remove(picked);
          } else if (op === 'raise' && picked && a < picked.priority) {
            lines[picked.priority] = lines[picked.priority]!.filter(one => one !== picked);
            lines[a]!.push(picked);
            turns.raise(picked, a);
          } else if (op === 'next') {
            const heads = lines.flatMap((line, priority) =>
              line[0] ? [{ line, rank: priority - (now - line[0].readySince) / 10 }] : [],
            );
            const best = heads.sort((x, y) => x.rank - y.rank)[0];
            expect(turns.next(now)).toBe(best?.line.shift() ?? null);
          }
          expect(turns.size).toBe(lines.flat().length);
        }
      }),
    );
  });
});
