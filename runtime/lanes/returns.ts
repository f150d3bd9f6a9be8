/**
 * Returns as bytes: what flows back on a lane travels as frames do. A small object costs the thread that posts it five
 * times as much as the text that such bytes become (message-port.ts; measured at rest, where asks wait for it).
 */
import { Unpackr } from 'msgpackr';
import { BodyPacker, CODEC } from './body-packer.ts';
import type { Returns } from './port.ts';
import { type Carried, withBytes } from './text.ts';

const packer = new BodyPacker(1024);
const unpackr = new Unpackr({ ...CODEC, useRecords: false, copyBuffers: true } as ConstructorParameters<
  typeof Unpackr
>[0]);
/** Room that the packer keeps. */
const ROOM = 64 * 1024;

/** The parts of Returns in their order, objects as arrays; 0 for a part that is not there. */
type Packed = [
  runs: number[] | 0,
  tried: [seq: number, calls: number, attempt: number][] | 0,
  replies: [seq: number, ok: boolean, isPacked: boolean, value: unknown][] | 0,
  hold: [actor: number, key: string | number | bigint][] | 0,
  free: [actor: number, key: string | number | bigint][] | 0,
  released: [partition: number, upTo: number][] | 0,
];

export function packReturns({ runs, tried, replies, hold, free, released }: Returns): Uint8Array {
  const packed: Packed = [
    runs ?? 0,
    tried?.map(({ seq, calls, attempt }) => [seq, calls, attempt]) ?? 0,
    replies?.map(({ seq, ok, isPacked, value }) => [seq, ok, isPacked, value]) ?? 0,
    hold?.map(({ actor, key }) => [actor, key]) ?? 0,
    free?.map(({ actor, key }) => [actor, key]) ?? 0,
    released?.map(({ partition, upTo }) => [partition, upTo]) ?? 0,
  ];
  packer.value(packed);
  const bytes = packer.copy();
  packer.reset(ROOM);
  return bytes;
}

export function readReturns(carried: Carried): Returns {
  const [runs, tried, replies, hold, free, released] = withBytes(
    carried,
    (bytes, length) => unpackr.unpack(bytes, { start: 0, end: length }) as Packed,
  );
  const returns: Returns = {};
  if (runs !== 0) returns.runs = runs;
  if (tried !== 0) returns.tried = tried.map(([seq, calls, attempt]) => ({ seq, calls, attempt }));
  if (replies !== 0) returns.replies = replies.map(([seq, ok, isPacked, value]) => ({ seq, ok, isPacked, value }));
  if (hold !== 0) returns.hold = hold.map(([actor, key]) => ({ actor, key }));
  if (free !== 0) returns.free = free.map(([actor, key]) => ({ actor, key }));
  if (released !== 0) returns.released = released.map(([partition, upTo]) => ({ partition, upTo }));
  return returns;
}
