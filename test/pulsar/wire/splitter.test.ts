/** Frames come out as they went in, in whatever pieces they come. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { WireFault } from '../../../actors/pulsar/wire/codec/fault.ts';
import { FrameSplitter } from '../../../actors/pulsar/wire/codec/frames.ts';

function frame(size: number, fill = 1): Buffer {
  const bytes = Buffer.alloc(4 + size, fill);
  bytes.writeUInt32BE(size);
  return bytes;
}

function all(splitter: FrameSplitter): Buffer[] {
  const frames: Buffer[] = [];
  for (let next = splitter.next(); next !== null; next = splitter.next()) frames.push(next);
  return frames;
}

const sizes = fc.array(fc.oneof(fc.integer({ min: 4, max: 30 }), fc.integer({ min: 4, max: 3000 })), { maxLength: 20 });

it('whatever the pieces', () => {
  fc.assert(
    fc.property(
      sizes,
      fc.infiniteStream(fc.oneof(fc.nat(5), fc.nat(4000))),
      fc.boolean(),
      (lengths, pieces, isDrained) => {
        const frames = lengths.map((size, i) => frame(size, i));
        const stream = Buffer.concat(frames);
        const splitter = new FrameSplitter(4000);
        const found: Buffer[] = [];
        for (let at = 0; at < stream.length; ) {
          const length = pieces.next().value;
          splitter.push(Buffer.from(stream.subarray(at, at + length)));
          at += length;
          // One at a time, or all that is there.
          if (isDrained) found.push(...all(splitter));
          else for (const one of [splitter.next()]) if (one) found.push(one);
        }
        found.push(...all(splitter));
        expect(found).toEqual(frames);
        expect(splitter.next()).toBeNull();
      },
    ),
    { numRuns: 300 },
  );
});

it('without copying what lies in one piece', () => {
  const chunk = Buffer.concat([frame(10), frame(20), frame(30).subarray(0, 12)]);
  const splitter = new FrameSplitter(100);
  splitter.push(chunk);
  for (const one of all(splitter)) expect(one.buffer).toBe(chunk.buffer);
  splitter.push(frame(30).subarray(12));
  expect(splitter.next()).toEqual(frame(30));
});

it('in linear time, byte by byte', () => {
  const size = 3_000_000;
  const bytes = frame(size);
  const splitter = new FrameSplitter(5_000_000);
  let early = 0;
  for (let i = 0; i < bytes.length; i++) {
    if (splitter.next() !== null) early++;
    splitter.push(bytes.subarray(i, i + 1));
  }
  expect(early).toBe(0);
  expect(splitter.next()!.equals(bytes)).toBe(true);
});

it('the largest, and not one byte more', () => {
  const splitter = new FrameSplitter(1000);
  splitter.push(frame(996));
  expect(splitter.next()).toEqual(frame(996));
  splitter.push(frame(997));
  expect(() => splitter.next()).toThrow(WireFault);
  expect(() => splitter.next()).toThrow('1001 bytes, where 1000 are allowed');
  splitter.maxFrameBytes = 1001;
  expect(splitter.next()).toEqual(frame(997));
});

it('not those that have no room for a command, nor of other protocols', () => {
  const says = (bytes: Buffer): (() => unknown) => {
    const splitter = new FrameSplitter(5_000_000);
    splitter.push(bytes);
    return () => splitter.next();
  };
  for (const size of [0, 1, 3]) expect(says(frame(size))).toThrow(WireFault);
  expect(says(Buffer.from('15030300020246', 'hex'))).toThrow('TLS');
  expect(says(Buffer.from('1603010200', 'hex'))).toThrow('TLS');
  expect(says(Buffer.from('HTTP/1.1 400 Bad Request'))).toThrow('HTTP');
  expect(says(Buffer.from('ffffffff', 'hex'))).toThrow('4294967299 bytes');
});

it('takes no memory for what is only announced', () => {
  const before = process.memoryUsage().arrayBuffers;
  const splitters = Array.from({ length: 50 }, () => new FrameSplitter(2 ** 31));
  for (const splitter of splitters) {
    splitter.push(Buffer.from('7ffffff0000000050812', 'hex'));
    expect(splitter.next()).toBeNull();
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100 * 1024 * 1024);
  expect(splitters).toHaveLength(50);
});

it('in linear time, when nothing is taken until all is there', () => {
  const bytes = Buffer.concat(Array.from({ length: 40_000 }, (_, i) => frame(6, i)));
  const splitter = new FrameSplitter(100);
  for (let i = 0; i < bytes.length; i++) splitter.push(bytes.subarray(i, i + 1));
  expect(all(splitter)).toHaveLength(40_000);
});
