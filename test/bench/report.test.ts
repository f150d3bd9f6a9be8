/** From results to the README: from a fixture. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Case } from '../../bench/lib/contest.ts';
import { resultsSchema } from '../../bench/lib/rows.ts';
import { figure } from '../../bench/report/format.ts';
import { render } from '../../bench/report/render.ts';
import { textTable } from '../../bench/report/text.ts';
import { placed } from '../../bench/report.ts';

const fixture = fileURLToPath(new URL('fixtures/results.json', import.meta.url));
const results = resultsSchema.parse(JSON.parse(readFileSync(fixture, 'utf8')));
const cases: Case[] = ['tells', 'left'].map(name => ({ name, about: `What ${name} is.`, run: async () => [] }));
const { markdown, charts } = render('engine', results, cases);

describe('the report', () => {
  it('says where the figures come from', () => {
    expect(markdown).toContain('Some CPU, 2 cores, 24 GiB, linux 6.1 x64; Node v26.10.0; piscina 5.3.2;');
    expect(markdown).toContain('commit 0123456789ab with changes; 2026-11-20, 1.50 minutes, **quick**');
  });

  it('says first what is lost and missed', () => {
    expect(markdown).toContain('1 of 2 comparisons won, 1 of 2 targets kept.');
    expect(markdown).toContain('Lost:\n\n- tells: keymill, CPU, 1.92 × best pool');
    expect(markdown).toContain('Missed:\n\n- left: keymill, heap left, 17.3 MiB');
    expect(markdown.indexOf('Lost:')).toBeLessThan(markdown.indexOf('### tells'));
  });

  it('has a table a case: contestants, their metrics with spread, and ratios with the lost ones marked', () => {
    expect(markdown).toContain(
      [
        '### tells',
        '',
        'What tells is.',
        '',
        '![tells](charts/engine-tells.svg)',
        '',
        '| | settled, messages/s | CPU, µs/message |',
        '| --- | ---: | ---: |',
        '| keymill | 1,230,000 <sub>1,100,000 to 1,300,000</sub> | 1.34 |',
        '| piscina <sync> | 61,200 | 0.70 |',
        '',
        '| ratio | settled | CPU |',
        '| --- | ---: | ---: |',
        '| keymill ÷ best pool | 20.2 (piscina <sync>) <sub>18.0 to 22.0</sub> | **1.92 <sub>1.90 to 1.95</sub> loses** |',
      ].join('\n'),
    );
  });

  it('says of each target whether it is kept', () => {
    expect(markdown).toContain('**Not kept**: keymill: heap left, at most 16.0 MiB; got 17.3.');
    expect(markdown).toContain('Kept: keymill: waits, at least 90.0 %; got 99.0.');
  });

  it('shows cases that failed, without figures', () => {
    expect(markdown).toContain(
      '### asks\n\n**Failed**, and has no figures: keymill: 10 messages were sent and 9 handled\n',
    );
    expect(markdown).not.toContain('at somewhere');
  });

  it('draws a chart where there is something to compare', () => {
    expect([...charts.keys()]).toEqual(['engine-tells.svg']);
    const svg = charts.get('engine-tells.svg')!;
    expect(svg).toMatch(
      /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"[^>]*>\n<title>tells: settled, messages\/s \(more is better\)/,
    );
    expect(svg.match(/<rect /g)).toHaveLength(2);
    expect(svg.match(/class="spread"/g)).toHaveLength(1);
    expect(svg).toContain('piscina &lt;sync&gt;');
    const widths = [...svg.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) => Number(width));
    expect(widths[0]! / widths[1]!).toBeCloseTo(1234567 / 61234, 0);
  });

  it('takes its place between the marks of the README, again and again', () => {
    const readme = 'Before\n<!-- results: npm run bench:report -->\nold\n<!-- end of results -->\nafter\n';
    const once = placed(readme, 'new\n');
    expect(once).toBe('Before\n<!-- results: npm run bench:report -->\n\nnew\n\n<!-- end of results -->\nafter\n');
    expect(placed(once, 'new\n')).toBe(once);
    expect(() => placed('no marks', 'new')).toThrow('README');
  });
});

describe('figures', () => {
  it.each([
    [1234567, '1,230,000'],
    [999.6, '1000'],
    [123.4, '123'],
    [12.34, '12.3'],
    [1.234, '1.23'],
    [0, '0.00'],
    [-45.67, '-45.7'],
    [Number.NaN, '–'],
  ])('%d is %s', (value, text) => {
    expect(figure(value)).toBe(text);
  });
});

it('the terminal gets a line a row, with what is lost and missed at its end', () => {
  const lines = textTable(results.rows).trimEnd().split('\n');
  expect(lines).toHaveLength(results.rows.length);
  expect(lines[5]).toMatch(/^tells {2}keymill.*1\.92 × best pool.*loses$/);
  expect(lines[6]).toMatch(/17\.3 MiB.*target missed$/);
});
