/** The docs say what the code does: the generated pages are fresh, nothing lacks a text, and links lead somewhere. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ERRORS } from '../../runtime/errors.ts';
import { pages, sections } from '../../scripts/docs.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

describe('docs/reference', () => {
  it.each(Object.entries(pages()))('%s is what `npm run docs` writes', (name, text) => {
    expect(read(`docs/reference/${name}`)).toBe(text);
  });

  it('has a text for every option', () => {
    const rows = sections().flatMap(({ title, rows }) => rows.map(row => ({ at: `${title}: ${row.path}`, ...row })));
    expect(rows.length).toBeGreaterThan(80);
    expect(rows.filter(row => !row.isGroup && row.doc === '').map(row => row.at)).toEqual([]);
  });

  it('names every error code', () => {
    const text = read('docs/reference/errors.md');
    expect(Object.keys(ERRORS).filter(code => !text.includes(`| \`${code}\` |`))).toEqual([]);
  });
});

describe('pages written by hand', () => {
  it.each(['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/cache.md', 'docs/concepts.md', 'docs/operations.md'])(
    '%s links to files that exist',
    page => {
      const links = [...read(page).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(match => match[1]!);
      expect(links.filter(link => !existsSync(join(root, dirname(page), link)))).toEqual([]);
    },
  );

  it('keeps the README short', () => {
    expect(read('README.md').split('\n').length).toBeLessThan(220);
  });
});
