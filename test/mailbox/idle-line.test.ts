/** Which key leaves memory first: one that has been idle for about the longest (E7). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdleLine } from '../../runtime/mailbox/idle-line.ts';
import { Mailbox } from '../../runtime/mailbox/mailbox.ts';
import { collectGarbage } from '../support/garbage.ts';
import { item } from '../support/items.ts';

/** Keys in memory and their line, used as a cell and its scheduler do; the time passes by itself. */
class Keys {
  readonly line = new IdleLine();
  readonly resident: Mailbox[] = [];
  now = 0;
  #made = 0;

  /** A new key, that had its first message at once. */
  arrive(): Mailbox {
    const mailbox = new Mailbox(0, this.#made++, 0);
    mailbox.idleSince = this.now;
    this.resident.push(mailbox);
    this.line.push(mailbox, this.now);
    return mailbox;
  }

  begin(mailbox: Mailbox): void {
    mailbox.standing = 'running';
  }

  end(mailbox: Mailbox): void {
    mailbox.standing = 'idle';
    mailbox.idleSince = this.now;
  }

  use(mailbox: Mailbox): void {
    this.begin(mailbox);
    this.end(mailbox);
  }

  evict(mailbox: Mailbox): void {
    this.line.leave(mailbox);
    mailbox.isResident = false;
    this.resident.splice(this.resident.indexOf(mailbox), 1);
  }

  /** Evicts one as Residents does when there are too many. */
  evictEldest(most: number, but: Mailbox | null = null): Mailbox | null {
    const eldest = this.line.eldest(this.now, most, but);
    if (eldest !== null) this.evict(eldest);
    return eldest;
  }

  idle(but: Mailbox | null = null): Mailbox[] {
    return this.resident.filter(one => one.standing === 'idle' && one !== but);
  }
}

/** So many keys, each a millisecond after the one before it. */
function keys(count: number): { keys: Keys; all: Mailbox[] } {
  const made = new Keys();
  const all: Mailbox[] = [];
  for (let i = 0; i < count; i++) {
    all.push(made.arrive());
    made.now++;
  }
  return { keys: made, all };
}

const OPS = ['arrive', 'arrive', 'use', 'use', 'begin', 'end', 'evict', 'leave', 'look', 'wait'] as const;
const steps = fc.array(
  fc.record({
    op: fc.constantFrom(...OPS),
    a: fc.nat({ max: 63 }),
    but: fc.boolean(),
    most: fc.integer({ max: 20, min: 1 }),
  }),
  { minLength: 10, maxLength: 120, size: 'max' },
);

/** Calls `look` for each search of an eldest key, before and after it. */
function each(look: (keys: Keys, most: number, but: Mailbox | null) => Mailbox | null, few: boolean): void {
  fc.assert(
    fc.property(steps, taken => {
      const world = new Keys();
      for (const { op, a, but, most } of taken) {
        const one = world.resident[a % Math.max(1, world.resident.length)] ?? null;
        const limit = few ? world.line.size + most : most;
        const except = but ? one : null;
        if (op === 'arrive') world.arrive();
        else if (op === 'wait') world.now += a % 3;
        else if (op === 'look') look(world, limit, except);
        else if (op === 'evict') {
          const eldest = look(world, limit, except);
          if (eldest !== null) world.evict(eldest);
        } else if (one === null) continue;
        else if (op === 'use' && one.standing === 'idle') world.use(one);
        else if (op === 'begin') world.begin(one);
        else if (op === 'end') world.end(one);
        else if (op === 'leave' && one.standing === 'idle') world.evict(one); // its partition moved, say
      }
    }),
    { numRuns: 1000 },
  );
}

describe('whatever happens to the keys', () => {
  it('the eldest is in memory, idle, and not the one that must stay', () => {
    each((world, most, but) => {
      const eldest = world.line.eldest(world.now, most, but);
      if (eldest !== null) expect(world.idle(but)).toContain(eldest);
      return eldest;
    }, false);
  });

  it('one is found among few keys if there is one, and it was used last before any idle one took its place', () => {
    let found = 0;
    each((world, most, but) => {
      const idle = world.idle(but);
      const unused = idle.filter(one => one.idleSince <= one.listedAt).map(one => one.listedAt);
      const longest = Math.min(...idle.map(one => one.idleSince));
      const eldest = world.line.eldest(world.now, most, but);
      if (idle.length === 0) expect(eldest).toBeNull();
      // Who was used since it was listed is compared with all others, for none of them ends the search.
      else if (unused.length === 0) expect(eldest!.idleSince).toBe(longest);
      else expect(eldest!.idleSince).toBeLessThanOrEqual(Math.min(...unused));
      if (idle.length > 1 && unused.length > 1) found++;
      return eldest;
    }, true);
    expect(found).toBeGreaterThan(1000);
  });

  it('every key leaves once, when all have become idle', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 20 }), (taken, most) => {
        const world = new Keys();
        for (const { op, a, but } of taken) {
          const one = world.resident[a % Math.max(1, world.resident.length)] ?? null;
          if (op === 'arrive') world.arrive();
          else if (op === 'wait') world.now++;
          else if (op === 'evict' || op === 'look') world.evictEldest(most, but ? one : null);
          else if (one !== null) world.use(one);
        }
        const left = new Set(world.resident);
        for (let searches = 0; left.size > 0 && searches < 10_000; searches++) {
          const eldest = world.evictEldest(most);
          if (eldest !== null) expect(left.delete(eldest)).toBe(true);
        }
        expect([left.size, world.evictEldest(most)]).toEqual([0, null]);
      }),
    );
  });
});

describe('the eldest', () => {
  it('is the one idle for the longest, while none is used again', () => {
    const { keys: world, all } = keys(10);
    const left = all.map(() => world.evictEldest(20));
    expect(left).toEqual(all);
    expect([world.evictEldest(20), world.line.size]).toEqual([null, 0]);
  });

  it('is the one idle for the longest, when all were used again', () => {
    const { keys: world, all } = keys(6);
    const used = [4, 2, 5, 0, 3, 1].map(i => all[i]!);
    for (const one of used) {
      world.now += 10;
      world.use(one);
    }
    expect(world.evictEldest(20)).toBe(used[0]);
  });

  it('is not one that was used since it took its place: that gets a new one behind the others', () => {
    const { keys: world, all } = keys(4);
    const [a, b, c, d] = all as [Mailbox, Mailbox, Mailbox, Mailbox];
    world.now = 10;
    world.use(a);
    world.use(c);
    world.now = 20;
    expect([world.evictEldest(20), world.evictEldest(20)]).toEqual([b, d]);
    const e = world.arrive();
    expect([world.evictEldest(20), world.evictEldest(20), world.evictEldest(20)]).toEqual([a, c, e]);
  });

  it('may be one used since then, if it has been idle longer than any other that is looked at', () => {
    const { keys: world, all } = keys(2);
    const [a, b] = all as [Mailbox, Mailbox];
    world.now = 10;
    world.use(b);
    world.now = 20;
    world.use(a);
    expect(world.evictEldest(2)).toBe(b);
  });

  it('is not one in use, nor the one that must stay, though none else is there', () => {
    const { keys: world, all } = keys(2);
    const [a, b] = all as [Mailbox, Mailbox];
    world.begin(a);
    b.push(item(), 4);
    expect(world.line.eldest(world.now, 20, b)).toBeNull();
    world.end(a);
    expect(world.line.eldest(world.now, 20, b)).toBe(a);
  });

  it('is looked for among the first ones only; the next search goes on behind them', () => {
    const { keys: world, all } = keys(40);
    for (const one of all.slice(0, 35)) world.begin(one);
    expect([16, 16, 16].map(most => world.line.eldest(world.now, most))).toEqual([null, null, all[35]]);
  });

  it('is not one that left, wherever it stood', () => {
    const { keys: world, all } = keys(6);
    for (const i of [2, 0, 3, 5]) world.evict(all[i]!);
    expect([world.evictEldest(20), world.evictEldest(20), world.evictEldest(20)]).toEqual([all[1], all[4], null]);
    expect(world.line.size).toBe(0);
  });
});

describe('the line', () => {
  it.each([
    ['each used once', () => []],
    ['those used often are in use all the time', (now: number) => [now % 40, (now * 7) % 50, (now * 13) % 50]],
    [
      'all are used again before they come to the front',
      (now: number) => Array.from({ length: 50 }, (_, i) => i ^ (now & 31)),
    ],
  ])('does not grow however many keys came and left: %s', (_name, used) => {
    const MOST = 50;
    const world = new Keys();
    let longest = 0;
    for (let i = 0; i < 10_000; i++) {
      world.now++;
      const one = world.arrive();
      for (const index of used(world.now)) world.use(world.resident[index % world.resident.length]!);
      if (world.resident.length > MOST) world.evictEldest(16, one);
      longest = Math.max(longest, world.line.size);
      expect(world.resident.length).toBeLessThanOrEqual(MOST);
    }
    expect(longest).toBeLessThanOrEqual(3 * MOST);
  });

  it('lets go of the keys that left', async () => {
    const world = new Keys();
    const left: WeakRef<Mailbox>[] = [];
    for (let i = 0; i < 20_000; i++) {
      world.now++;
      world.arrive();
      if (world.resident.length > 10) left.push(new WeakRef(world.evictEldest(16)!));
    }
    await collectGarbage();
    expect(left.filter(one => one.deref() !== undefined).length).toBeLessThan(10_000);
    expect(world.line.size).toBe(world.resident.length);
  });
});
