/** The outbox against a plain Map of what is unsettled. */
import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Envelope } from '../../runtime/lanes/envelope.ts';
import { eachEnvelope, FrameWriter, readFrame } from '../../runtime/lanes/frame.ts';
import { type FrameColumns, Outbox, OutFrame } from '../../runtime/lanes/outbox.ts';
import type { Owner } from '../../runtime/lanes/port.ts';
import { collectGarbage } from '../support/garbage.ts';
import { message } from '../support/messages.ts';

const SENDING = { slot: 1, incarnation: 1 };

function owner(): Owner {
  return { settled() {} };
}

interface Sent {
  seq: number;
  message: Envelope;
  owner: Owner | null;
  token: number;
  size: number;
}

/** A frame as a lane makes it, of consecutive sequence numbers. */
function frameOf(first: number, messages: readonly Envelope[]): { frame: OutFrame; sent: Sent[] } {
  const writer = new FrameWriter();
  const columns: FrameColumns = { actors: [], hashes: [], sizes: [], owners: [], tokens: [] };
  const sent = messages.map((one, i) => {
    const size = writer.add(one, first + i, Number.POSITIVE_INFINITY);
    const whose = i % 3 === 0 ? null : owner();
    columns.actors.push(one.actor);
    columns.hashes.push(one.hash);
    columns.sizes.push(size);
    columns.owners.push(whose);
    columns.tokens.push(1000 + first + i);
    return { seq: first + i, message: one, owner: whose, token: 1000 + first + i, size };
  });
  return { frame: new OutFrame(first, null, first, writer.finish(SENDING, first), columns), sent };
}

/** Everything unsettled in an outbox, in its order, read from the bytes that a replay would post. */
function unsettledOf(outbox: Outbox): Sent[] {
  const found: Sent[] = [];
  for (const frame of outbox.unsettled())
    eachEnvelope(frame.bytes, (one, seq, index) => {
      if (frame.isSettled(index)) return;
      expect(frame.seqOf(index)).toBe(seq);
      found.push({
        seq,
        message: one,
        owner: frame.owners[index]!,
        token: frame.tokens[index]!,
        size: frame.sizes[index]!,
      });
    });
  return found;
}

/** Some are large enough for their frame's memory to be used again, so that a frame over another would show. */
function bodyOf(seq: number): unknown {
  return { seq, letters: String.fromCharCode(97 + (seq % 26)).repeat((seq % 4) * 2000) };
}

type Step = { push: number } | { settle: [from: number, length: number] } | { repack: number } | { find: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 12 }).map(push => ({ push })) },
  { weight: 6, arbitrary: fc.tuple(fc.nat({ max: 1_000_000 }), fc.nat({ max: 20 })).map(settle => ({ settle })) },
  { weight: 2, arbitrary: fc.nat({ max: 1_000_000 }).map(repack => ({ repack })) },
  { weight: 2, arbitrary: fc.nat({ max: 1_000_000 }).map(find => ({ find })) },
);

describe('an outbox', () => {
  it('holds exactly what is unsettled, whatever is pushed, settled and repacked', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 120 }), steps => {
        const outbox = new Outbox();
        const model = new Map<number, Sent>();
        let next = 1;
        for (const one of steps) {
          if ('push' in one) {
            const messages = Array.from({ length: one.push }, (_, i) =>
              message({ actor: i % 2, key: next + i, position: next + i, body: bodyOf(next + i) }),
            );
            const { frame, sent } = frameOf(next, messages);
            next += one.push;
            outbox.push(frame);
            for (const each of sent) model.set(each.seq, each);
          } else if ('settle' in one) {
            const first = one.settle[0] % (next + 3);
            const last = first + one.settle[1];
            const seen: number[] = [];
            outbox.settle(first, last, (frame, index) => {
              const seq = frame.seqOf(index);
              const expected = model.get(seq)!;
              seen.push(seq);
              expect([
                frame.owners[index],
                frame.tokens[index],
                frame.actors[index],
                frame.hashes[index],
                frame.sizes[index],
              ]).toEqual([
                expected.owner,
                expected.token,
                expected.message.actor,
                expected.message.hash,
                expected.size,
              ]);
            });
            const expected = [...model.keys()].filter(seq => seq >= first && seq <= last);
            expect(seen).toEqual(expected);
            for (const seq of expected) model.delete(seq);
          } else if ('repack' in one) {
            const frames = outbox.unsettled();
            const frame = frames[one.repack % Math.max(1, frames.length)];
            if (!frame) continue;
            frame.posted = one.repack % 2 === 0;
            const packed = outbox.repack(frame, SENDING);
            expect(packed.posted).toBe(frame.posted);
            expect(packed.count).toBe(frame.remaining);
            expect([packed.homes, readFrame(packed.bytes).homes]).toEqual([frame.homes, frame.homes]);
          } else {
            const seq = one.find % (next + 2);
            const found = outbox.find(seq);
            const expected = model.get(seq);
            expect(found && [found.frame.seqOf(found.index), found.frame.tokens[found.index]]).toEqual(
              expected && [seq, expected.token],
            );
          }
          expect(outbox.messages).toBe(model.size);
          expect(outbox.bytes).toBe([...model.values()].reduce((sum, each) => sum + each.size, 0));
          expect(outbox.retainedBytes).toBe(outbox.unsettled().reduce((sum, frame) => sum + frame.bytes.length, 0));
        }
        deepStrictEqual(unsettledOf(outbox), [...model.values()]);
      }),
      { numRuns: 300 },
    );
  });

  it('tells of each message once, though runs overlap and come twice', () => {
    const outbox = new Outbox();
    outbox.push(
      frameOf(
        1,
        Array.from({ length: 10 }, () => message()),
      ).frame,
    );
    const seen: number[] = [];
    for (const [first, last] of [
      [3, 5],
      [1, 4],
      [3, 3],
      [0, 99],
      [1, 10],
    ] as const)
      outbox.settle(first, last, (frame, index) => seen.push(frame.seqOf(index)));
    expect(seen).toEqual([3, 4, 5, 1, 2, 6, 7, 8, 9, 10]);
    expect(outbox.messages).toBe(0);
  });

  it('can be pushed to by who is told of an outcome', () => {
    const outbox = new Outbox();
    outbox.push(frameOf(1, [message(), message()]).frame);
    const seen: number[] = [];
    outbox.settle(1, 2, (frame, index) => {
      seen.push(frame.seqOf(index));
      if (index === 0) outbox.push(frameOf(3, [message()]).frame);
    });
    expect(seen).toEqual([1, 2]);
    expect(unsettledOf(outbox).map(one => one.seq)).toEqual([3]);
  });

  it('lets go of all settled frames behind one message that is stuck', async () => {
    const outbox = new Outbox();
    outbox.push(frameOf(1, [message({ body: 'stuck' })]).frame);
    const settled: WeakRef<OutFrame>[] = [];
    for (let i = 0; i < 1000; i++) {
      const first = 2 + 8 * i;
      const { frame } = frameOf(
        first,
        Array.from({ length: 8 }, () => message({ body: Buffer.alloc(1000) })),
      );
      outbox.push(frame);
      settled.push(new WeakRef(frame));
      outbox.settle(first, first + 7, () => {});
    }
    expect(outbox.messages).toBe(1);
    expect(outbox.retainedBytes).toBeLessThan(200);
    expect(outbox.unsettled()).toHaveLength(1);
    // The bytes go at once; what the sender remembered of the messages goes in bulk, before there is much of it.
    await collectGarbage();
    expect(settled.filter(one => one.deref() !== undefined).length).toBeLessThan(100);
    expect(outbox.find(1)?.frame.seqOf(0)).toBe(1);
  });

  it('is wasteful when few unsettled bytes pin many, and a repack mends that', () => {
    const outbox = new Outbox();
    for (let f = 0; f < 100; f++)
      outbox.push(
        frameOf(
          1 + 64 * f,
          Array.from({ length: 64 }, () => message({ body: Buffer.alloc(1000, f) })),
        ).frame,
      );
    expect(outbox.wasteful).toBe(false); // large, but all of it is unsettled
    for (let f = 0; f < 100; f++) outbox.settle(1 + 64 * f, 63 + 64 * f, () => {});
    expect(outbox.messages).toBe(100);
    expect(outbox.wasteful).toBe(true);
    const before = unsettledOf(outbox);
    for (const frame of outbox.unsettled()) outbox.repack(frame, SENDING);
    expect(outbox.wasteful).toBe(false);
    expect(outbox.retainedBytes).toBeLessThan(2 * outbox.bytes);
    deepStrictEqual(unsettledOf(outbox), before);
  });

  it('is not wasteful below 4 MiB, where repacking is not worth it', () => {
    const outbox = new Outbox();
    outbox.push(
      frameOf(
        1,
        Array.from({ length: 10 }, () => message({ body: Buffer.alloc(100_000) })),
      ).frame,
    );
    outbox.settle(2, 10, () => {});
    expect(outbox.wasteful).toBe(false);
  });
});
