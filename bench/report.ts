/** `npm run bench:report`: renders bench/README.md and bench/charts/ from bench/results/*.json. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { changes } from './changes/index.ts';
import { engine } from './engine/index.ts';
import { resultsSchema } from './lib/rows.ts';
import { pulsar } from './pulsar/index.ts';
import { redis } from './redis/index.ts';
import { render } from './report/render.ts';
import { sql } from './sql/index.ts';
import { sync } from './sync/index.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const BEGIN = '<!-- results: npm run bench:report -->';
const END = '<!-- end of results -->';
const NONE = 'No results are published yet.\n';

/** The README with this between its marks. */
export function placed(readme: string, rendered: string): string {
  const begin = readme.indexOf(BEGIN);
  const end = readme.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`bench/README.md needs ${BEGIN} and ${END}`);
  return `${readme.slice(0, begin + BEGIN.length)}\n\n${rendered}\n${readme.slice(end)}`;
}

function main(): void {
  const results = join(FOLDER, 'results');
  const charts = join(FOLDER, 'charts');
  rmSync(charts, { recursive: true, force: true });
  mkdirSync(results, { recursive: true });
  const parts: string[] = [];
  for (const file of readdirSync(results)
    .filter(name => name.endsWith('.json'))
    .sort()) {
    const parsed = resultsSchema.parse(JSON.parse(readFileSync(join(results, file), 'utf8')));
    const rendered = render(basename(file, '.json'), parsed, [
      ...engine,
      ...changes,
      ...sync,
      ...pulsar,
      ...redis,
      ...sql,
    ]);
    parts.push(rendered.markdown);
    mkdirSync(charts, { recursive: true });
    for (const [name, svg] of rendered.charts) writeFileSync(join(charts, name), svg);
  }
  const readme = join(FOLDER, 'README.md');
  writeFileSync(readme, placed(readFileSync(readme, 'utf8'), parts.length > 0 ? parts.join('\n') : NONE));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
