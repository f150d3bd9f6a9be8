import { describe, expect, it } from 'vitest';
import { TRANSITIONS } from '../../runtime/environment.ts';
import { runAllSeeds } from './seeds.ts';

/** Seeds that CI runs; KEYMILL_SEEDS overrides it for a long run. */
const SEEDS = Number(process.env['KEYMILL_SEEDS'] ?? 10_000);

describe('the simulation', () => {
  it(`finds no broken promise in ${SEEDS} seeds, and reaches the state transitions`, async () => {
    const reports = await runAllSeeds(1, SEEDS);
    const sum = (pick: (report: (typeof reports)[number]) => number): number =>
      reports.reduce((all, report) => all + pick(report), 0);
    console.log(
      `${sum(r => r.seeds)} seeds, ${sum(r => r.steps)} steps, ${sum(r => r.faults)} faults, ${sum(r => r.repeats)} repeats, ${Math.max(...reports.map(r => r.seconds)).toFixed(1)} s`,
    );
    expect(reports.map(report => report.failed).filter(failed => failed !== undefined)).toEqual([]);
    const reached = new Set(reports.flatMap(report => Object.keys(report.transitions)));
    expect(TRANSITIONS.filter(transition => !reached.has(transition))).toEqual([]);
    expect(sum(report => report.steps)).toBeGreaterThanOrEqual(500 * SEEDS);
    expect(sum(report => report.faults)).toBeGreaterThanOrEqual(2 * SEEDS);
  });

  it('replays a seed exactly', async () => {
    const [once, again] = await Promise.all([runAllSeeds(7, 1), runAllSeeds(7, 1)]);
    expect({ ...again[0], seconds: 0 }).toEqual({ ...once[0], seconds: 0 });
  });
});
