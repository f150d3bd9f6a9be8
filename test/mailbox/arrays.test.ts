/** The pools of arrays that batches may travel in (B5). */
import { describe, expect, it } from 'vitest';
import { ArrayPool } from '../../runtime/mailbox/arrays.ts';

describe('a pool of arrays', () => {
  it('gives an array of the length asked for, again and again the same one', () => {
    const pool = new ArrayPool();
    const first = pool.take(100);
    expect(first).toHaveLength(100);
    pool.give(first);
    const second = pool.take(70);
    expect(second).toBe(first);
    expect(second).toHaveLength(70);
    pool.give(second);
    expect(pool.take(128)).toBe(first);
  });

  it('keeps no reference to what an array held', () => {
    const pool = new ArrayPool();
    const array = pool.take<object>(4);
    array.fill({});
    pool.give(array);
    expect(pool.take(3)).toEqual([undefined, undefined, undefined]);
  });

  it('gives no array out twice', () => {
    const pool = new ArrayPool();
    pool.give(new Array(10));
    expect(pool.take(10)).not.toBe(pool.take(10));
  });

  it('keeps apart lengths of different powers of two, and keeps 64 of each at most', () => {
    const pool = new ArrayPool();
    const given = Array.from({ length: 100 }, () => pool.take(16));
    for (const array of given) pool.give(array);
    expect(given).not.toContain(pool.take(17));
    expect(given).not.toContain(pool.take(8));
    const taken = Array.from({ length: 100 }, () => pool.take(16));
    expect(taken.filter(array => given.includes(array))).toHaveLength(64);
  });

  it('serves lengths beyond its classes, and zero, without keeping them', () => {
    const pool = new ArrayPool();
    const huge = pool.take(300_000);
    expect(huge).toHaveLength(300_000);
    pool.give(huge);
    expect(pool.take(300_000)).not.toBe(huge);
    expect(pool.take(0)).toHaveLength(0);
  });
});
