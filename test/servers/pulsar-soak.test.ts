/** The wire client for a while: nothing that it holds grows. By hand for longer: KEYMILL_PULSAR_SOAK_S=1200 KEYMILL_PULSAR_SOAK_RATE=150000. */
import { describe, expect, test } from 'vitest';
import { slope } from '../../bench/lib/stats.ts';
import { script } from '../support/cli.ts';
import { pulsarService, skipped } from '../support/services.ts';

const SECONDS = Number(process.env['KEYMILL_PULSAR_SOAK_S'] ?? 10);
const RATE = Number(process.env['KEYMILL_PULSAR_SOAK_RATE'] ?? 20_000);
/** A minute more, and it is long enough to tell a slope from the heap's filling. */
const LONG_S = 300;
const MiB = 2 ** 20;

interface Look {
  second: number;
  rss: number;
  requests: number;
  resources: Record<string, number>;
}

describe.skipIf(skipped('pulsar'))('the wire client', () => {
  test(`publishes and consumes ${RATE}/s for ${SECONDS} s`, { timeout: (SECONDS + 60) * 1000 }, async () => {
    const { url, admin } = pulsarService()!;
    const options = { url, adminUrl: admin, profile: 'high-throughput', batch: { by: 'any' } };
    const run = script(new URL('./fixtures/soak.ts', import.meta.url).pathname, [String(SECONDS), String(RATE)], {
      env: { KEYMILL_SOAK: JSON.stringify(options) },
    });
    const ended = await run.ended;
    expect(ended.code, ended.stderr).toBe(0);
    const lines = ended.stdout.trim().split('\n');
    const end = JSON.parse(lines.at(-1)!) as Record<'sent' | 'confirmed' | 'received' | 'acknowledged', number>;
    expect(end.sent).toBeGreaterThan(0);
    expect(end).toMatchObject({ confirmed: end.sent, received: end.sent, acknowledged: end.sent });
    const looks = lines.slice(0, -1).map(line => JSON.parse(line) as Look);
    const late = looks.slice(Math.floor(looks.length / 4));
    const most = (figure: (look: Look) => number): number => Math.max(...late.map(figure));
    const timers = (look: Look): number => look.resources['Timeout'] ?? 0;
    const a = late.slice(0, Math.floor(late.length / 2));
    const growth = (figure: (look: Look) => number): number => most(figure) - Math.max(...a.map(figure));
    const perMinute = slope(late.map(({ second, rss }) => [second / 60, rss / MiB]));
    console.log(
      `${end.sent} messages in ${SECONDS} s: resident ${Math.round(most(look => look.rss) / MiB)} MiB, ${perMinute.toFixed(2)} MiB/min; requests at most ${most(look => look.requests)}, timers at most ${most(timers)}`,
    );
    expect(growth(look => look.requests)).toBeLessThan(50);
    expect(growth(timers)).toBeLessThan(50);
    if (SECONDS >= LONG_S) expect(perMinute).toBeLessThan(1);
  });
});
