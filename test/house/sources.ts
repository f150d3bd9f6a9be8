/** The source files of the house and what they import, for the tests that hold its rules. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Import {
  /** Path from the root of the checkout, for relative imports; else the name of a package. */
  target: string;
  isRelative: boolean;
  /** Erased: only types are taken. */
  isType: boolean;
}

export interface SourceFile {
  path: string;
  text: string;
  lines: number;
  imports: Import[];
}

/** Static and dynamic imports and re-exports with a literal name. */
const IMPORT = /(?:^|\n)\s*(?:import|export)\s+(type\s)?([^'";]*?\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/g;

export function sourcesOf(...folders: string[]): SourceFile[] {
  return folders.flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts'))
      .map(name => {
        const path = posix.join(folder, name);
        const text = readFileSync(join(root, path), 'utf8');
        return { path, text, lines: text.split('\n').length - 1, imports: importsOf(path, text) };
      }),
  );
}

function importsOf(path: string, text: string): Import[] {
  return [...text.matchAll(IMPORT)].map(([, type, names, plain, dynamic]) => {
    const name = plain ?? dynamic!;
    const isRelative = name.startsWith('.');
    const onlyTypes =
      names !== undefined &&
      /^\s*\{/.test(names) &&
      names
        .replace(/[{}]|\sfrom\s*$/g, '')
        .split(',')
        .every(one => one.trim() === '' || one.trim().startsWith('type '));
    return {
      target: isRelative ? posix.join(dirname(path), name) : name,
      isRelative,
      isType: type !== undefined || onlyTypes,
    };
  });
}

/** The code of a file without comments and without what stands in quotes. */
export function codeOf(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, "''")
    .replace(/\/\/.*$/gm, '');
}
