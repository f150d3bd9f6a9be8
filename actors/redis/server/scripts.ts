/** The Lua scripts, as a server has them. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

export interface Script {
  readonly text: string;
  readonly sha: string;
}

export interface Scripts {
  readonly batch: Script;
  readonly epoch: Script;
  readonly scan: Script;
}

/** Asks by their letters (base.lua). */
const PARTS = ['values', 'versions', 'kinds', 'fields', 'leases', 'multi'] as const;

let loaded: Scripts | null = null;

export function loadScripts(): Scripts {
  loaded ??= {
    batch: scriptOf(textOf('base'), ...PARTS.map(partOf), textOf('batch')),
    epoch: scriptOf(textOf('epoch')),
    scan: scriptOf(textOf('scan')),
  };
  return loaded;
}

function textOf(name: string): string {
  return readFileSync(new URL(`../lua/${name}.lua`, import.meta.url), 'utf8');
}

function partOf(name: string): string {
  return `function parts.${name}()\n${textOf(name)}end\n`;
}

function scriptOf(...texts: readonly string[]): Script {
  const text = texts.join('\n');
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}
