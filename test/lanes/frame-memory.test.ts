import { describe, expect, it } from 'vitest';
import { giveMemory, KEPT_FROM, SHARED_FROM, takeMemory } from '../../runtime/lanes/frame-memory.ts';

const MiB = 2 ** 20;

describe('memory of frames', () => {
  it('is used again by a frame of about the same size', () => {
    const first = takeMemory(40_000);
    giveMemory(first);
    const second = takeMemory(38_000);
    expect(second.buffer).toBe(first.buffer);
    expect(second.length).toBe(38_000);
    expect(takeMemory(38_000).buffer).not.toBe(first.buffer);
  });

  it('is shared from SHARED_FROM on, and only then', () => {
    giveMemory(takeMemory(SHARED_FROM - 1));
    expect(takeMemory(SHARED_FROM).buffer).toBeInstanceOf(SharedArrayBuffer);
    giveMemory(takeMemory(SHARED_FROM));
    expect(takeMemory(SHARED_FROM - 1).buffer).toBeInstanceOf(ArrayBuffer);
  });

  it('is not spent on a frame of less than half its size', () => {
    const large = takeMemory(200_000);
    giveMemory(large);
    expect(takeMemory(60_000).buffer).not.toBe(large.buffer);
  });

  it('is left to the collector where it is little, and where more than 8 MiB would wait', () => {
    const small = new Uint8Array(KEPT_FROM - 1);
    giveMemory(small);
    expect(takeMemory(KEPT_FROM).buffer).not.toBe(small.buffer);
    const taken = Array.from({ length: 64 }, () => takeMemory(MiB));
    const known = new Set(taken.map(({ buffer }) => buffer));
    for (const memory of taken) giveMemory(memory);
    let again = 0;
    for (let i = 0; i < 64; i++) if (known.has(takeMemory(MiB).buffer)) again++;
    expect(again).toBeGreaterThan(0);
    expect(again).toBeLessThanOrEqual(8);
  });
});
