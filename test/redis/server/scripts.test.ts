/** The Lua files say on top what they take, and fit what a server accepts. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { loadScripts } from '../../../actors/redis/server/scripts.ts';

const FOLDER = fileURLToPath(new URL('../../../actors/redis/lua/', import.meta.url));

test('every Lua file is part of a script, and begins with what it takes', () => {
  const { batch, epoch, scan } = loadScripts();
  for (const name of readdirSync(FOLDER)) {
    const text = readFileSync(join(FOLDER, name), 'utf8');
    expect([name, text.startsWith('-- ')]).toEqual([name, true]);
    expect([name, [batch, epoch, scan].some(script => script.text.includes(text))]).toEqual([name, true]);
    expect([name, text.split('\n').length < 400]).toEqual([name, true]);
  }
  for (const { text } of [batch, epoch, scan]) expect(text).toMatch(/^-- ARGV\[1\]/m);
});

test('a script is known by its hash', () => {
  const { batch, epoch, scan } = loadScripts();
  expect(new Set([batch.sha, epoch.sha, scan.sha]).size).toBe(3);
  expect(batch.sha).toMatch(/^[\da-f]{40}$/);
});
