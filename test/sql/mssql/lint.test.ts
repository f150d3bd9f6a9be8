/**
 * Every T-SQL text that keymill sends, read by sqlfluff's tsql dialect. It is no oracle, as it takes some nonsense, and it
 * does not know all of Change Tracking; what it does not know is taken out, and listed here.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { allStatements } from './all-statements.ts';

const run = promisify(execFile);
const VERSION = '4.5.0';
/** Kept between runs. */
const HOME = join(tmpdir(), `keymill-sqlfluff-${VERSION}`);

/** Their whole syntax is not known. */
const UNKNOWN = new Set(['track-database', 'track', 'untrack']);
/** Not known before a statement. */
const CONTEXT = 'WITH CHANGE_TRACKING_CONTEXT (@kmContext) ';

const READ = `
import json, sys
sys.path.insert(0, sys.argv[1])
from sqlfluff.core import FluffConfig, Linter
linter = Linter(config=FluffConfig(overrides={'dialect': 'tsql', 'large_file_skip_byte_limit': 0}))
with open(sys.argv[2]) as file:
    texts = json.load(file)
print(json.dumps([[str(one) for one in linter.parse_string(text).violations] for text in texts]))
`;

/** Null, or why sqlfluff is not to be had. */
async function missing(): Promise<string | null> {
  if (existsSync(join(HOME, 'sqlfluff'))) return null;
  try {
    await run('python3', ['-m', 'pip', 'install', '--quiet', '--target', HOME, `sqlfluff==${VERSION}`]);
    return null;
  } catch (error) {
    await rm(HOME, { recursive: true, force: true });
    return `sqlfluff could not be installed: ${(error as Error).message.split('\n')[0]}`;
  }
}

/** sqlfluff takes `]]` in a name for its end: such names are replaced, which reads their quoting once more. */
function plainNames(sql: string): string {
  return sql.replace(/\[(?:[^\]]|\]\])*\]/g, name =>
    name.includes(']]') || name.includes("'") ? `[${name.replace(/\W/g, '_')}]` : name,
  );
}

test('all statements are T-SQL', async context => {
  const why = await missing();
  context.skip(why !== null, why ?? '');
  const statements = allStatements().filter(({ name }) => !UNKNOWN.has(name));
  const texts = [...new Set(statements.map(({ sql }) => plainNames(sql).replaceAll(CONTEXT, '')))];
  texts.push('SELECT FROM WHERE (');
  const folder = await mkdtemp(join(tmpdir(), 'keymill-lint-'));
  const file = join(folder, 'texts.json');
  await writeFile(file, JSON.stringify(texts));
  const { stdout } = await run('python3', ['-c', READ, HOME, file], { maxBuffer: 64 << 20 });
  await rm(folder, { recursive: true });
  const found = (JSON.parse(stdout) as string[][]).map((violations, i) => ({ text: texts[i]!, violations }));
  expect(found.pop()!.violations, 'it finds what is none').not.toEqual([]);
  expect(found.filter(({ violations }) => violations.length > 0)).toEqual([]);
}, 240_000);

test('all statements say who sends them, and each begins with its name', () => {
  for (const { name, sql } of allStatements()) expect(sql.startsWith(`/* keymill:${name} */\n`), name).toBe(true);
});

test('a name never leaves its brackets, whatever it holds', () => {
  for (const { sql } of allStatements()) {
    // Without names in brackets, texts in quotes and the comment at its start nothing of the awkward names is left.
    const rest = plainNames(sql)
      .replace(/^\/\*.*\*\//, '')
      .replace(/\[[^\]]*\]/g, '')
      .replace(/'(?:[^']|'')*'/g, '');
    expect(rest).not.toMatch(/DROP TABLE|--|\/\*|näme|\]/);
  }
});
