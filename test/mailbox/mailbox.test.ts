/** Mailboxes and lists of them against arrays. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Item } from '../../runtime/mailbox/item.ts';
import { Mailbox, MailboxList } from '../../runtime/mailbox/mailbox.ts';
import { item } from '../support/items.ts';

/** The items of a mailbox, walked both ways. */
function itemsOf(mailbox: Mailbox): Item[] {
  const forward: Item[] = [];
  for (let one = mailbox.head; one !== null; one = one.next) forward.push(one);
  const backward: Item[] = [];
  for (let one = mailbox.tail; one !== null; one = one.previous) backward.push(one);
  expect(backward.reverse()).toEqual(forward);
  return forward;
}

describe('a mailbox', () => {
  type Step = { op: 'push' | 'shift' | 'unshift' | 'remove'; n: number };
  const step: fc.Arbitrary<Step> = fc.record({
    op: fc.constantFrom('push', 'push', 'shift', 'unshift', 'remove'),
    n: fc.nat({ max: 50 }),
  });

  it('is an array as far as order, count, bytes and its oldest time go', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), steps => {
        const mailbox = new Mailbox(0, 'k', 1);
        const model: Item[] = [];
        const out: Item[] = [];
        let now = 0;
        for (const { op, n } of steps) {
          now++;
          if (op === 'push') {
            const one = item({ size: n, arrivedAt: now, seq: now });
            mailbox.push(one, 4);
            model.push(one);
          } else if (op === 'shift') {
            const taken = model.shift() ?? null;
            expect(mailbox.shift()).toBe(taken);
            if (taken) out.push(taken);
          } else if (op === 'unshift') {
            // The last n of what was taken out come back; from and to may leave some out.
            const back = out.splice(Math.max(0, out.length - (n % 5)));
            const from = n % 2 === 0 ? 0 : Math.min(1, back.length);
            mailbox.unshift(back, from, back.length);
            model.unshift(...back.slice(from));
          } else if (model.length > 0) {
            const [gone] = model.splice(n % model.length, 1);
            mailbox.remove(gone!);
            expect([gone!.previous, gone!.next]).toEqual([null, null]);
          }
          expect(itemsOf(mailbox)).toEqual(model);
          expect(mailbox.count).toBe(model.length);
          expect(mailbox.bytes).toBe(model.reduce((sum, one) => sum + one.size, 0));
          if (model.length > 0) expect(mailbox.firstAt).toBe(model[0]!.arrivedAt);
        }
      }),
    );
  });

  it('is as urgent as its most urgent item, and starts anew when it was empty', () => {
    const mailbox = new Mailbox(0, 'k', 1);
    mailbox.push(item(), 5);
    expect(mailbox.priority).toBe(5);
    mailbox.push(item(), 2);
    mailbox.push(item(), 6);
    expect(mailbox.priority).toBe(2);
    while (mailbox.shift());
    mailbox.push(item(), 6);
    expect(mailbox.priority).toBe(6);
  });

  it('that stands in line empty, since its only item was dropped, keeps the priority of its line', () => {
    const mailbox = new Mailbox(0, 'k', 1);
    mailbox.push(item(), 4);
    mailbox.line = 'turns';
    mailbox.shift();
    mailbox.push(item(), 6);
    expect(mailbox.priority).toBe(4);
  });
});

describe('a list of mailboxes', () => {
  it('is an array as far as order and size go', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 30 }), { maxLength: 60 }), picks => {
        const list = new MailboxList();
        const model: Mailbox[] = [];
        for (const pick of picks) {
          if (pick % 3 > 0 || model.length === 0) {
            const one = new Mailbox(0, pick, pick);
            list.push(one);
            model.push(one);
          } else {
            const [gone] = model.splice(pick % model.length, 1);
            list.remove(gone!);
            expect([gone!.previous, gone!.next]).toEqual([null, null]);
          }
          expect(list.size).toBe(model.length);
          const walked: Mailbox[] = [];
          for (let one = list.head; one !== null; one = one.next) walked.push(one);
          expect(walked).toEqual(model);
          expect(list.tail).toBe(model.at(-1) ?? null);
        }
      }),
    );
  });
});
