/** Bytes as text, and how frames travel through a real MessagePort. */
import { deepStrictEqual } from 'node:assert/strict';
import { MessageChannel } from 'node:worker_threads';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { FrameWriter, mayWait, withFrame } from '../../runtime/lanes/frame.ts';
import { KEPT_FROM, SHARED_FROM } from '../../runtime/lanes/frame-memory.ts';
import { messagePort } from '../../runtime/lanes/message-port.ts';
import { byteAt, type Carried, toText, withBytes } from '../../runtime/lanes/text.ts';
import { bodiesOf, envelope, keysOf, message } from '../support/messages.ts';

const ALL = Uint8Array.from({ length: 256 }, (_, i) => i);

/** The bytes as they are while `withBytes` lends them, in memory of their own. */
function read(carried: Carried): number[] {
  return withBytes(carried, (bytes, length) => [...bytes.subarray(0, length)]);
}

function filled(length: number, first = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => first + i);
}

describe('bytes', () => {
  it('of all 256 values survive as text, one byte a letter', () => {
    const text = toText(ALL) as string;
    expect(text).toHaveLength(256);
    expect([...text].map(letter => letter.charCodeAt(0))).toEqual([...ALL]);
    expect(read(text)).toEqual([...ALL]);
  });

  it('come out as they went in, whatever they are and whoever holds them', () => {
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 600 }), fc.uint8Array({ maxLength: 70 }).map(Buffer.from));
    fc.assert(
      fc.property(bytes, fc.nat({ max: 20 }), (given, from) => {
        const view = given.subarray(Math.min(from, given.length));
        const carried = toText(view);
        expect(carried).toBeTypeOf('string');
        expect(read(carried)).toEqual([...view]);
        expect(read(view)).toEqual([...view]);
      }),
    );
  });

  it.each([
    ['no bytes', 0, 'string'],
    ['one byte', 1, 'string'],
    ['one byte less than are shared', SHARED_FROM - 1, 'string'],
    ['as many as are shared', SHARED_FROM, 'object'],
    ['many', 3 * SHARED_FROM, 'object'],
  ])('are text while there are few of them: %s', (_name, length, type) => {
    const bytes = filled(length, 3);
    const carried = toText(bytes);
    expect(typeof carried).toBe(type);
    if (type === 'object') expect(carried).toBe(bytes);
    deepStrictEqual(read(carried), [...bytes]);
  });

  it('are the same one by one, as text and as bytes', () => {
    const text = toText(ALL);
    for (let i = 0; i < 256; i++) expect([byteAt(text, i), byteAt(ALL, i)]).toEqual([i, i]);
  });
});

describe('the memory in which a text becomes bytes', () => {
  const outer = toText(filled(100));
  const inner = toText(filled(200, 50));

  it('is lent to one at a time: who asks meanwhile gets another', () => {
    const [seen, between, after] = withBytes(outer, (bytes, length) => {
      const nested = withBytes(inner, (own, count) => {
        expect(own.buffer).not.toBe(bytes.buffer);
        return [[...own.subarray(0, count)], [...bytes.subarray(0, length)], read(inner)];
      });
      expect(nested[2]).toEqual(nested[0]);
      return [nested[0], nested[1], [...bytes.subarray(0, length)]];
    });
    expect(seen).toEqual([...filled(200, 50)]);
    expect([between, after]).toEqual([[...filled(100)], [...filled(100)]]);
  });

  it('is used again, also when whoever had it threw', () => {
    const memoryOf = (carried: Carried) => withBytes(carried, bytes => bytes.buffer);
    const memory = memoryOf(outer);
    expect(() =>
      withBytes(outer, () => {
        throw new Error('no frame');
      }),
    ).toThrow('no frame');
    expect(memoryOf(inner)).toBe(memory);
  });

  it('is not taken for what are bytes already: those are lent as they are', () => {
    const room = filled(40);
    const bytes = room.subarray(10, 30);
    withBytes(bytes, (lent, length) => {
      expect([lent.buffer, lent.byteOffset, lent.length, length]).toEqual([room.buffer, 10, 20, 20]);
    });
  });

  it('is enough for a text of any length', () => {
    const long = Buffer.from(filled(SHARED_FROM + 1)).toString('latin1');
    deepStrictEqual(read(long), [...filled(SHARED_FROM + 1)]);
  });
});

describe('a frame that goes through a MessagePort', () => {
  const opened: { close(): void }[] = [];
  afterEach(() => {
    for (const one of opened.splice(0)) one.close();
  });

  /** Posts frames at one end, and returns them as they arrive at the other. */
  async function posted(frames: readonly Carried[]): Promise<Carried[]> {
    const { port1, port2 } = new MessageChannel();
    const [out, into] = [messagePort(port1), messagePort(port2)];
    opened.push(out, into);
    const arrived: Carried[] = [];
    return await new Promise(resolve => {
      into.onMessage(carried => {
        if (arrived.push(carried) === frames.length) resolve(arrived);
      });
      for (const frame of frames) out.post(frame);
    });
  }

  function written(messages: readonly ReturnType<typeof message>[], firstSeq = 1, wait = false): Carried {
    const writer = new FrameWriter();
    messages.forEach((one, i) => writer.add(one, firstSeq + i, Number.POSITIVE_INFINITY, wait));
    return writer.finish({ slot: 3, incarnation: 7 }, 9);
  }

  const small = [
    message({ key: 'ä€', body: { text: 'ÿ€😀', bytes: Buffer.from(ALL) } }),
    message({ position: 1, key: 2n }),
  ];
  const middling = [message({ body: 'x'.repeat(KEPT_FROM) }), message({ position: 1, body: { bytes: filled(1000) } })];
  const large = [message({ body: 'x'.repeat(50_000) }), message({ position: 1, body: { bytes: filled(60_000) } })];

  it.each([
    ['small', small, false],
    ['neither small nor large', middling, false],
    ['large', large, true],
  ])('reads as it was written: %s', async (_name, messages, isShared) => {
    const frame = written(messages, 5, true);
    expect(frame.length >= SHARED_FROM).toBe(isShared);
    const [carried] = await posted([frame]);
    expect([typeof carried, mayWait(carried!)]).toEqual([isShared ? 'object' : 'string', true]);
    withFrame(carried!, (read, head) => {
      expect(head).toEqual({ slot: 3, incarnation: 7, mayWait: true });
      deepStrictEqual(
        bodiesOf(read),
        messages.map(one => one.body),
      );
      expect(keysOf(read)).toEqual(messages.map(one => one.key));
      expect([read.seqOf(0), read.seqOf(1), read.homes]).toEqual([5, 6, 9]);
      expect([read.hashOf(0), read.hashOf(1)]).toEqual(messages.map(one => one.hash));
    });
  });

  it('shares its memory with who sent it, if it is large', async () => {
    const frame = written(large) as Uint8Array;
    const [carried] = (await posted([frame])) as [Uint8Array];
    expect(frame.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(carried.buffer).toBeInstanceOf(SharedArrayBuffer);
    frame[frame.length - 1]!++;
    expect(carried.at(-1)).toBe(frame.at(-1));
  });

  it('gives bytes to keep that are of no frame, large or small', async () => {
    const bodies = await posted([written(small), written(large)]).then(([one, other]) => [
      withFrame(one!, frame => (bodiesOf(frame)[0] as { bytes: Buffer }).bytes),
      withFrame(other!, frame => (bodiesOf(frame)[1] as { bytes: Uint8Array }).bytes),
    ]);
    read(toText(filled(SHARED_FROM - 1, 77))); // what was lent is overwritten
    expect(bodies[1]!.buffer).not.toBeInstanceOf(SharedArrayBuffer);
    deepStrictEqual([[...bodies[0]!], [...bodies[1]!]], [[...ALL], [...filled(60_000)]]);
  });

  it('comes in its turn, whatever the sizes and the messages', async () => {
    const frames = fc.array(
      fc.oneof(
        { weight: 4, arbitrary: fc.array(envelope, { minLength: 1, maxLength: 4 }) },
        { weight: 1, arbitrary: fc.constant(large) },
      ),
      { minLength: 1, maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(frames, async sent => {
        const arrived = await posted(sent.map((messages, i) => written(messages, i + 1)));
        arrived.forEach((carried, i) => {
          withFrame(carried, frame => {
            expect(frame.seqOf(0)).toBe(i + 1);
            deepStrictEqual(
              bodiesOf(frame),
              sent[i]!.map(one => one.body),
            );
          });
        });
        for (const one of opened.splice(0)) one.close();
      }),
      { numRuns: 50 },
    );
  });
});
