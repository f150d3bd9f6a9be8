/** Where one reply of a protocol ends and the next begins, for the proxy. */
import type { Splitter } from './proxy-lane.ts';

const LINE_END = '\r\n';
/** First bytes of the values of RESP 2 and 3 that have values in them, with how many lie in them for each one they count. */
const AGGREGATES: Readonly<Record<string, number>> = { '*': 1, '~': 1, '>': 1, '%': 2, '|': 2 };
const STRINGS = '$=!';

/**
 * Replies of Redis. An attribute (`|`) and the value it belongs to are one; a push (`>`) is one of its own: see `isPush`.
 * Streamed strings and aggregates, which Redis itself never sends, are not known.
 */
export function respReplies(): Splitter {
  let kept: Buffer = Buffer.alloc(0);
  /** Where in `kept` it goes on, and how many values are missing until a reply is whole. */
  let at = 0;
  let missing = 1;

  /** Reads over one value; its parts count as missing. False when it is not all there. */
  const value = (): boolean => {
    const end = kept.indexOf(LINE_END, at);
    if (end < 0) return false;
    const kind = String.fromCharCode(kept[at]!);
    const count = Number(kept.toString('latin1', at + 1, end));
    let next = end + LINE_END.length;
    if (STRINGS.includes(kind) && count >= 0) next += count + LINE_END.length;
    if (next > kept.length) return false;
    at = next;
    missing--;
    if (kind in AGGREGATES && count > 0) missing += count * AGGREGATES[kind]!;
    if (kind === '|') missing++;
    return true;
  };

  return chunk => {
    kept = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    const replies: Buffer[] = [];
    while (at < kept.length && value()) {
      if (missing > 0) continue;
      replies.push(kept.subarray(0, at));
      kept = kept.subarray(at);
      at = 0;
      missing = 1;
    }
    return replies;
  };
}

/** Whether a reply of Redis is none: a message of its own accord (RESP 3). */
export const isPush = (reply: Buffer): boolean => reply[0] === 0x3e;

const SIZE_BYTES = 4;

/** Frames of Pulsar's protocol, of either direction (reference/pulsar.md 2.1). */
export function pulsarFrames(): Splitter {
  let kept: Buffer = Buffer.alloc(0);
  return chunk => {
    kept = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    const frames: Buffer[] = [];
    while (kept.length >= SIZE_BYTES) {
      const end = SIZE_BYTES + kept.readUInt32BE(0);
      if (kept.length < end) break;
      frames.push(kept.subarray(0, end));
      kept = kept.subarray(end);
    }
    return frames;
  };
}
