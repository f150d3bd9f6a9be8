/** Keys that come by numbers, and mailboxes that left memory meanwhile (E4, E14). */
import { expect, it } from 'vitest';
import { Cell } from '../../runtime/host/cell.ts';
import { NOWHERE } from '../../runtime/mailbox/item.ts';
import type { Context, Key } from '../../runtime/topology/define.ts';
import { actorSchema, runtimeSchema } from '../../runtime/topology/options.ts';
import { oneHost } from '../support/one-host.ts';

it('a key that comes back finds a new state, though its number was known by the old mailbox', async () => {
  const seen: [key: Key, count: number][] = [];
  const on = await oneHost({
    actors: {
      one: {
        key: (key: string) => key,
        state: () => ({ count: 0 }),
        handle: (key: string, ctx: Context<{ count: number }>) =>
          void seen.push([ctx.key === key ? key : `${key} in ${String(ctx.key)}`, ++ctx.state.count]),
        options: { passivateMs: 10_000 },
      },
    },
  });
  for (const key of ['a', 'b', 'a']) on.push('one', key);
  await on.settle();
  await on.environment.advance(60_000);
  expect(on.stats('one').residentKeys).toBe(0);
  for (const key of ['b', 'a', 'a']) on.push('one', key);
  await on.settle();
  expect(seen.toSorted()).toEqual([
    ['a', 1],
    ['a', 1],
    ['a', 2],
    ['a', 2],
    ['b', 1],
    ['b', 1],
  ]);
});

function cell(across: 'key' | 'keys'): Cell {
  const options = actorSchema.parse({ batch: { across } });
  return new Cell(0, 'one', { key: () => 1, handleBatch: () => undefined }, options, runtimeSchema.parse({}), false);
}

it('what left memory is kept by numbers in a thousand mailboxes at most, and for no sender that died', () => {
  const one = cell('key');
  const known = one.knownBy(NOWHERE)!;
  const mailboxes = Array.from({ length: 1024 }, (_, i) => one.mailboxOf(i, i, 0));
  for (const [i, mailbox] of mailboxes.entries()) known.learn(i + 1, mailbox);
  for (const mailbox of mailboxes.slice(1)) one.forget(mailbox);
  expect(one.mailboxOf(1, 1, 0, known.at(2))).not.toBe(mailboxes[1]);
  expect(one.mailboxOf(0, 0, 0, known.at(1))).toBe(mailboxes[0]);
  one.forget(mailboxes[0]!);
  expect(mailboxes.map((_, i) => known.at(i + 1)).filter(found => found !== undefined)).toEqual([]);
  expect(one.knownBy(NOWHERE)).toBe(known);
  one.forgetSender(NOWHERE);
  expect(one.knownBy(NOWHERE)).not.toBe(known);
});

it('numbers say nothing where all keys share one mailbox', () => {
  expect(cell('keys').knownBy(NOWHERE)).toBeNull();
});
