/**
 * What there are millions of has one shape, whatever it holds and whatever was done with it: code that meets two shapes
 * in one place is slower for all.
 */
import { setFlagsFromString } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { Batch } from '../../runtime/host/batch.ts';
import type { Cell } from '../../runtime/host/cell.ts';
import { NO_EXTRAS } from '../../runtime/lanes/envelope.ts';
import { ArrayPool } from '../../runtime/mailbox/arrays.ts';
import { type Item, NOWHERE } from '../../runtime/mailbox/item.ts';
import { Mailbox, MailboxList } from '../../runtime/mailbox/mailbox.ts';
import { Turns } from '../../runtime/mailbox/turns.ts';
import { item } from '../support/items.ts';

setFlagsFromString('--allow-natives-syntax');
const haveSameMap = new Function('a', 'b', 'return %HaveSameMap(a, b)') as (a: object, b: object) => boolean;

function expectOneShape(make: (() => object)[]): void {
  // Twice: a field that has held two kinds of value gives what is made later its final shape.
  for (const one of make) one();
  const made = make.map(one => one());
  for (const [i, one] of made.entries())
    expect(haveSameMap(one, made[0]!), `number ${i} has a shape of its own`).toBe(true);
}

describe('the test', () => {
  it('tells two shapes apart', () => {
    expect(haveSameMap({ a: 1, b: 2 }, { a: 3, b: 4 })).toBe(true);
    expect(haveSameMap({ a: 1, b: 2 }, { b: 2, a: 1 })).toBe(false);
  });
});

describe('one shape', () => {
  it('have all items: of any key, number and body, new, queued, failed and settled', () => {
    const queued = (one: Item): Item => {
      const mailbox = new Mailbox(0, 'k', 1);
      for (const next of [item(), one, item()]) mailbox.push(next, 4);
      return one;
    };
    expectOneShape([
      () => item(),
      () => item({ key: 7, body: { a: 1 }, position: 2 ** 50, seq: 2 ** 40, arrivedAt: 1.5 }),
      () => item({ key: 9n, body: 'text', size: 2 ** 31, path: '0.1', flags: 7 }),
      () => item({ extras: { ...NO_EXTRAS, calls: 3, attempt: 2 }, origin: { ...NOWHERE } }),
      () => queued(item()),
      () =>
        Object.assign(item(), {
          history: [],
          attempts: 3,
          calls: 4,
          freeFailures: 2,
          pending: -1,
          solo: true,
          children: 9,
        }),
    ]);
  });

  it('have all mailboxes: idle, ready, running, with state and without', () => {
    expectOneShape([
      () => new Mailbox(0, 'k', 1),
      () => new Mailbox(3, 9n, 2 ** 31 + 5),
      () => {
        const mailbox = new Mailbox(0, 1.5, 1);
        mailbox.push(item(), 2);
        new Turns(1000).push(mailbox, 17.25);
        return mailbox;
      },
      () => {
        const mailbox = new Mailbox(0, 'k', 1);
        new MailboxList().push(mailbox);
        return Object.assign(mailbox, {
          state: { any: 1 },
          hasState: true,
          holding: new Set(),
          tokens: 0.5,
          notBefore: 1.5,
          idleSince: 3.5,
          dueAt: 4.5,
          toppedUpAt: 5.5,
          paused: true,
        });
      },
    ]);
  });

  it('have all batches: running, timed out, with sends and failures', () => {
    const cell = {} as Cell;
    const mailbox = new Mailbox(0, 'k', 1);
    expectOneShape([
      () => new Batch(cell, mailbox, [item()], 'size', false, new ArrayPool()),
      () => new Batch(cell, mailbox, [], 'solo', true, new ArrayPool()),
      () => {
        const batch = new Batch(cell, mailbox, [item()], 'time', false, new ArrayPool());
        expect(batch.signal.aborted).toBe(false);
        return Object.assign(batch, {
          startedAt: 1.5,
          timedOut: true,
          failures: new Map(),
          ledger: 5,
          unaccepted: 3,
          ended: true,
          previous: batch,
        });
      },
    ]);
  });
});
