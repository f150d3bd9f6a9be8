/** The ledger of what handlers are in, which a supervisor reads after a death (rule 10). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashId, Ledger, markOf, readLedger } from '../../runtime/host/ledger.ts';

describe('a ledger', () => {
  it('shows exactly the batches in flight, whatever entered and left before', () => {
    const step = fc.oneof(
      fc.record({
        enter: fc.nat({ max: 5 }),
        hash: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
        count: fc.integer({ min: 1, max: 5000 }),
        alone: fc.boolean(),
      }),
      fc.record({ leave: fc.nat({ max: 100 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), steps => {
        const words = Ledger.create(8);
        const ledger = new Ledger(words);
        const inFlight = new Map<number, object>();
        for (const one of steps) {
          if ('enter' in one) {
            expect(ledger.isFull).toBe(inFlight.size === 8);
            if (ledger.isFull) continue;
            const id = `s/0/${one.count}`;
            const slot = ledger.enter(one.enter, one.hash, one.count, one.alone ? id : null, one.count * 7);
            expect(inFlight.has(slot)).toBe(false);
            inFlight.set(slot, {
              actor: one.enter,
              hash: one.hash,
              count: one.count,
              alone: one.alone,
              idHash: one.alone ? hashId(id) : 0,
              mark: one.count * 7,
            });
          } else {
            const slots = [...inFlight.keys()];
            const slot = slots[one.leave % Math.max(1, slots.length)];
            if (slot === undefined) continue;
            ledger.leave(slot);
            inFlight.delete(slot);
          }
          const bySlot = [...inFlight].sort(([a], [b]) => a - b);
          expect(readLedger(words)).toEqual(bySlot.map(([, record]) => record));
          for (const [slot, record] of bySlot) expect(readLedger(words, [slot])).toEqual([record]);
        }
      }),
    );
  });

  it('lies in shared memory, so that another thread can read it', () => {
    expect(Ledger.create(2).buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(readLedger(Ledger.create(4096))).toEqual([]);
  });

  it('follows a handle actor from item to item', () => {
    const words = Ledger.create(2);
    const ledger = new Ledger(words);
    const slot = ledger.enter(0, 1, 1, null, 10);
    ledger.goOn(slot, 11);
    expect(readLedger(words)).toMatchObject([{ mark: 11 }]);
  });
});

describe('the mark of an item', () => {
  it('tells apart neighbours of a source, and children from their parents', () => {
    const marks = new Set<number>();
    for (let position = 0; position < 1000; position++)
      for (const path of ['', '0', '1', '0.0']) marks.add(markOf({ position, path }));
    expect(marks.size).toBe(4000);
  });

  it('fits a word of the ledger, however far the position', () => {
    fc.assert(
      fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), fc.constantFrom('', '0.7'), (position, path) => {
        const mark = markOf({ position, path });
        expect(mark | 0).toBe(mark);
      }),
    );
  });
});
