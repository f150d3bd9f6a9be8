/** Subscribers of a test: all they hear, and whether they were told that they missed something. */
import { randomUUID } from 'node:crypto';
import { expect, onTestFinished } from 'vitest';
import type { Heard, RedisClient, RedisRead } from '../../actors/redis/index.ts';

/** After the link works again. */
export const SOON = { timeout: 10_000, interval: 20 };

/** All that is heard, in order: texts, and `lost`. */
export function listen(client: RedisClient, what: RedisRead): readonly string[] {
  const heard: string[] = [];
  const abort = new AbortController();
  onTestFinished(() => abort.abort());
  const loop = async (messages: AsyncIterable<Heard>): Promise<void> => {
    for await (const one of messages) heard.push('lost' in one ? `lost ${one.lost}` : String(one.message));
  };
  loop(client.subscribe(what, { signal: abort.signal })).catch(error => heard.push(String(error)));
  return heard;
}

/** A number is published until a subscriber has heard one. */
export async function published(by: RedisClient, channel: string, heard: readonly string[]): Promise<string> {
  let n = 0;
  const id = randomUUID().slice(0, 8);
  await expect
    .poll(async () => {
      await by.publish(channel, `${id} ${++n}`).catch(() => {});
      return heard.some(one => one.startsWith(id));
    }, SOON)
    .toBe(true);
  return id;
}

/** It is told before the first message of `id`: at once, and perhaps again when it hears again. */
export function toldOf(heard: readonly string[], id: string): void {
  const first = heard.findIndex(one => one.startsWith(id));
  const lost = heard.slice(0, first).filter(one => one.startsWith('lost'));
  expect(lost.length, heard.join()).toBeOneOf([1, 2]);
  expect(new Set(lost)).toEqual(new Set(['lost unknown']));
}
