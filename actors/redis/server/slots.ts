/** Slots of a cluster: CRC-16 of the hash tag (redis.io, cluster specification). */

export const SLOTS = 16_384;
const POLYNOMIAL = 0x1021;

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
  return crc;
});

/** What of a key decides its slot: what stands in its first braces, if anything does, or all of it. */
export function tagOf(key: string): string {
  const open = key.indexOf('{');
  const close = open < 0 ? -1 : key.indexOf('}', open + 1);
  return close > open + 1 ? key.slice(open + 1, close) : key;
}

export function slotOf(key: string): number {
  let crc = 0;
  for (const byte of Buffer.from(tagOf(key))) crc = ((crc << 8) & 0xffff) ^ TABLE[((crc >> 8) ^ byte) & 0xff]!;
  return crc % SLOTS;
}

let tags: string[] | null = null;

/** A short hash tag of a slot, for keys of our own beside those of others. */
export function tagOfSlot(slot: number): string {
  if (tags === null) {
    tags = new Array<string>(SLOTS);
    for (let n = 0, found = 0; found < SLOTS; n++) {
      const tag = n.toString(36);
      const its = slotOf(tag);
      if (tags[its] !== undefined) continue;
      tags[its] = tag;
      found++;
    }
  }
  return tags[slot]!;
}
