/**
 * Which consumer a key belongs to (Key_Shared). Keys fall into slots by their hash; a consistent hash ring gives each slot a
 * consumer, so that few move when one comes or goes. A slot whose messages are with another consumer than the ring says
 * is draining: it is given to nobody until they are acknowledged or given back (Pulsar 4, PIP-379).
 */
import { murmur3 } from '../murmur3.ts';
import type { Member } from './member.ts';
import type { Given } from './topic.ts';

const SLOTS = 65_536;
/** Points of a consumer on the ring: Pulsar's default. */
const POINTS = 100;

/** Ordering key before key; messages without either are of one key, as in Pulsar. */
export function slotOf({ orderingKey, key }: Pick<Given, 'orderingKey' | 'key'>): number {
  return murmur3(orderingKey ?? key ?? '') % SLOTS;
}

export class KeySlots {
  #ring: { readonly at: number; readonly member: Member }[] = [];
  /** Slots with messages that are given and not acknowledged. */
  readonly #held = new Map<number, { member: Member; count: number }>();

  add(member: Member): void {
    for (let i = 0; i < POINTS; i++) this.#ring.push({ at: murmur3(`${member.id}/${i}`) % SLOTS, member });
    this.#ring.sort((a, b) => a.at - b.at || a.member.id - b.member.id);
  }

  remove(member: Member): void {
    this.#ring = this.#ring.filter(point => point.member !== member);
  }

  /** Whose the slot is, if it can be given now. */
  memberFor(slot: number): Member | undefined {
    const owner = this.ownerOf(slot);
    const held = this.#held.get(slot);
    return held && held.member !== owner ? undefined : owner;
  }

  /** Whose the slot is or will be. */
  ownerOf(slot: number): Member | undefined {
    const ring = this.#ring;
    let low = 0;
    let high = ring.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ring[middle]!.at < slot) low = middle + 1;
      else high = middle;
    }
    return (ring[low] ?? ring[0])?.member;
  }

  hold(slot: number, member: Member): void {
    const held = this.#held.get(slot);
    if (held) held.count++;
    else this.#held.set(slot, { member, count: 1 });
  }

  release(slot: number): void {
    const held = this.#held.get(slot);
    if (held && --held.count === 0) this.#held.delete(slot);
  }

  clear(): void {
    this.#held.clear();
  }
}
