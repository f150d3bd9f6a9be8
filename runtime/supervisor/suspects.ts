/**
 * Who was there when a host died (rule 10). Batches in flight are rerun alone, item by item; a message that was alone
 * with its host at each of `quarantineAfter` deaths is quarantined. An uninvolved kill counts against nobody.
 */
import type { Suspect } from '../host/control.ts';
import { readLedger } from '../host/ledger.ts';
import type { Slot } from './slot.ts';
import { GAUGE_SUSPECTS } from './threads.ts';

export class Blame {
  readonly #quarantineAfter: number;
  /** Deaths alone, by hash of the message's id. */
  readonly #deaths = new Map<number, number>();
  readonly quarantined: number[] = [];

  constructor(quarantineAfter: number) {
    this.#quarantineAfter = quarantineAfter;
  }

  /** Sets `slot.suspects` for the replacement. `involved`: what was in flight may have caused the death. */
  assign(slot: Slot, involved: boolean): void {
    const merged = new Map<string, Suspect>();
    const add = (suspect: Suspect): void => {
      const name = `${suspect.actor}/${suspect.hash}`;
      const known = merged.get(name);
      if (!known || known.count < suspect.count) merged.set(name, { actor: suspect.actor, hash: suspect.hash, count: suspect.count });
    };
    // Earlier suspects that did not get to run alone still have to.
    if (Atomics.load(slot.gauges, GAUGE_SUSPECTS) > 0) slot.suspects.forEach(add);
    if (involved)
      for (const record of readLedger(slot.ledger, slot.blamed)) {
        add(record);
        if (!record.alone) continue;
        const deaths = (this.#deaths.get(record.idHash) ?? 0) + 1;
        this.#deaths.set(record.idHash, deaths);
        if (deaths === this.#quarantineAfter) this.quarantined.push(record.idHash);
      }
    slot.suspects = [...merged.values()];
  }
}
