/** Mailboxes by the numbers of their keys. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KnownKeys } from '../../runtime/host/known-keys.ts';
import { NUMBERED_KEYS } from '../../runtime/lanes/key-numbers.ts';
import { Mailbox } from '../../runtime/mailbox/mailbox.ts';

describe('known keys', () => {
  it('are found by the number they were learned by, and by no other that ends like it', () => {
    const place = fc.nat({ max: 5 });
    const number = fc.tuple(fc.nat({ max: 3 }), place).map(([turn, low]) => turn * NUMBERED_KEYS + low + 1);
    fc.assert(
      fc.property(fc.array(fc.oneof(number, fc.constant(0)), { maxLength: 40 }), acts => {
        const known = new KnownKeys();
        const model = new Map<number, { number: number; mailbox: Mailbox }>();
        for (const act of acts)
          if (act === 0) {
            known.clear();
            model.clear();
          } else {
            const mailbox = new Mailbox(0, act, act);
            known.learn(act, mailbox);
            model.set(act % NUMBERED_KEYS, { number: act, mailbox });
            for (let low = 1; low <= 6; low++)
              for (let turn = 0; turn < 4; turn++) {
                const asked = turn * NUMBERED_KEYS + low;
                const found = model.get(asked % NUMBERED_KEYS);
                expect(known.at(asked)).toBe(found?.number === asked ? found.mailbox : undefined);
              }
          }
      }),
    );
  });

  it('may be learned in any order', () => {
    const known = new KnownKeys();
    const last = new Mailbox(0, 'last', 1);
    known.learn(NUMBERED_KEYS - 1, last);
    const first = new Mailbox(0, 'first', 2);
    known.learn(NUMBERED_KEYS, first);
    expect([known.at(NUMBERED_KEYS - 1), known.at(NUMBERED_KEYS), known.at(7)]).toEqual([last, first, undefined]);
  });
});
