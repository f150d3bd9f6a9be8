/** Rows: what comes of samples, and what the schema lets pass. */
import { describe, expect, it } from 'vitest';
import { type Bench, rowsOf } from '../../bench/lib/contest.ts';
import { environment, isKept, isLost, type Row, rowSchema } from '../../bench/lib/rows.ts';

const bench: Bench = { suite: 'engine', quick: true, floodSeconds: 2, progress() {} };
const settled = { metric: 'settled', unit: 'messages/s', better: 'higher' } as const;
const figures = new Map([
  ['keymill', [100, 120]],
  ['tinypool', [50, 40]],
  ['poolifier', [200, 240]],
]);

describe('rows of a case', () => {
  const rows = rowsOf(bench, 'tells', settled, figures, {
    subject: 'keymill',
    best: { name: 'best pool', of: ['tinypool', 'poolifier'] },
    target: ratioTo => (ratioTo === 'tinypool' ? { of: 'ratio', atLeast: 3 } : undefined),
  });

  it('keep the schema', () => {
    for (const row of rows) expect(rowSchema.parse(row)).toEqual(row);
  });

  it('are one a contestant with median, spread and samples, and one for each comparison', () => {
    expect(rows.map(({ by, ratioTo }) => [by, ratioTo])).toEqual([
      ['keymill', undefined],
      ['tinypool', undefined],
      ['poolifier', undefined],
      ['keymill', 'tinypool'],
      ['keymill', 'poolifier'],
      ['keymill', 'best pool'],
    ]);
    expect(rows[1]).toMatchObject({ value: 45, spread: [40, 50], samples: [50, 40] });
    expect(rows[3]!.value).toBe(110);
    expect(rows[3]!.ratio).toBeCloseTo(Math.sqrt(6), 12);
    expect(rows[3]!.ratioSpread).toEqual([2, 3]);
  });

  it('name the best, which depends on what is better', () => {
    expect(rows[5]).toMatchObject({ ratioTo: 'best pool', ratio: 0.5, note: 'poolifier' });
    const cpu = rowsOf(bench, 'tells', { metric: 'CPU', unit: 'µs', better: 'lower' }, figures, {
      subject: 'keymill',
      best: { name: 'best pool', of: ['tinypool', 'poolifier'] },
    });
    expect(cpu.at(-1)).toMatchObject({ note: 'tinypool' });
  });

  it('say what is lost and whether targets are kept', () => {
    expect(rows.map(isLost)).toEqual([undefined, undefined, undefined, false, true, true]);
    expect(rows.map(isKept)).toEqual([undefined, undefined, undefined, false, undefined, undefined]);
    expect(isLost({ ...rows[3]!, better: 'lower' })).toBe(true);
  });
});

describe('the schema', () => {
  const row: Row = { suite: 'engine', case: 'tells', by: 'keymill', ...settled, value: 1 };

  it.each([
    ['an unknown field', { ...row, speed: 3 }],
    ['no value', { ...row, value: undefined }],
    ['a value that is no number', { ...row, value: Number.NaN }],
    ['a spread of three', { ...row, spread: [1, 2, 3] }],
  ])('refuses %s', (_what, wrong) => {
    expect(rowSchema.safeParse(wrong).success).toBe(false);
  });
});

it('results say the machine, Node, the commit and the versions, and no path', () => {
  const { machine, node, commit, versions } = environment();
  expect(node).toBe(process.version);
  expect(commit).toMatch(/^([0-9a-f]{40}|unknown)$/);
  expect(machine.cores).toBeGreaterThan(0);
  expect(Object.keys(versions)).toContain('piscina');
  expect(JSON.stringify({ machine, versions })).not.toContain('/');
});
