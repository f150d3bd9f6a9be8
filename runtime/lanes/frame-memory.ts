/**
 * Memory of frames, used again once all of a frame is settled. Frames live for seconds, so what they leave behind is old
 * garbage, which is collected seldom: with 64 MiB unsettled there were 250 to 560 MiB of it at any time (measured with
 * messages of 1 KiB). Memory that two threads read (SHARED_FROM) is given back only when the receiver said that it has
 * handled the whole frame, so nobody reads it any more.
 */

/**
 * Large frames are not cloned on their way: both ends see the same bytes, and while they wait at the receiver its garbage
 * collector has nothing to do with them (with text up to 32 KiB a tenth fewer small messages a second). Smaller ones travel
 * faster as text (message-port.ts).
 */
export const SHARED_FROM = 16 * 1024;
/** Smaller ones are garbage of little weight. */
export const KEPT_FROM = 4 * 1024;
/** Capacities are multiples of this: frames that end at FRAME_BYTES differ by a message. */
const STEP = 4 * 1024;
/** Memory that waits to be used again, in bytes. Settlements come in bursts of some frames. */
const MOST_WAITING = 8 * 2 ** 20;
/** Frames looked at for one that fits. */
const LOOKS = 8;

/** Whole memories of frames that are gone, those of the latest last. */
let waiting: Uint8Array[] = [];
let waitingBytes = 0;

/** Memory for a frame of so many bytes, at least KEPT_FROM, with anything in it; shared from SHARED_FROM bytes on. */
export function takeMemory(bytes: number): Uint8Array {
  for (let i = waiting.length - 1; i >= 0 && i >= waiting.length - LOOKS; i--) {
    const memory = waiting[i]!;
    if (memory.length < bytes || memory.length > 2 * bytes || isShared(memory) !== bytes >= SHARED_FROM) continue;
    waiting[i] = waiting[waiting.length - 1]!;
    waiting.length--;
    waitingBytes -= memory.length;
    return memory.subarray(0, bytes);
  }
  const capacity = Math.ceil(bytes / STEP) * STEP;
  const memory = bytes < SHARED_FROM ? new Uint8Array(capacity) : new Uint8Array(new SharedArrayBuffer(capacity));
  return capacity === bytes ? memory : memory.subarray(0, bytes);
}

/** Nobody reads these bytes of `takeMemory` any more. */
export function giveMemory(bytes: Uint8Array): void {
  if (bytes.length < KEPT_FROM) return;
  waiting.push(new Uint8Array(bytes.buffer));
  waitingBytes += bytes.buffer.byteLength;
  if (waitingBytes <= MOST_WAITING) return;
  // The older half goes: of sizes, perhaps, that do not come any more.
  waiting = waiting.slice(waiting.length >> 1);
  waitingBytes = waiting.reduce((sum, { length }) => sum + length, 0);
}

function isShared(memory: Uint8Array): boolean {
  return memory.buffer instanceof SharedArrayBuffer;
}
