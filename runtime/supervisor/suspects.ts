/**
 * Who was there when a host died (rule 10). Batches in flight are rerun alone, item by item; a message that was alone
 * with its host at each of `quarantineAfter` deaths is quarantined. An uninvolved kill counts against nobody.
 */
import type { Quarantined, Suspect } from '../host/control.ts';
import { readLedger } from '../host/ledger.ts';
import type { Slot } from './slot.ts';
import { GAUGE_SUSPECTS } from './threads.ts';

export class Blame {
  readonly #quarantineAfter: number;
  /** Deaths alone, by hash of the message's id. */
  readonly #deaths = new Map<number, number>();
  readonly quarantined: Quarantined[] = [];

  constructor(quarantineAfter: number) {
    this.#quarantineAfter = quarantineAfter;
  }

  /** Sets `slot.suspects` for the replacement. `involved`: what was in flight may have caused the death. */
  assign(slot: Slot, involved: boolean): void {
    const merged = new Map<string, Suspect>();
    const before = new Map(slot.suspects.map(suspect => [nameOf(suspect), suspect]));
    // Earlier suspects that did not get to run alone still have to.
    if (Atomics.load(slot.gauges, GAUGE_SUSPECTS) > 0) for (const [name, suspect] of before) merged.set(name, suspect);
    const records = involved ? readLedger(slot.ledger, slot.blamed) : [];
    for (const record of records) {
      const { actor, hash, count, alone, mark } = record;
      const name = nameOf(record);
      const earlier = before.get(name);
      // It died in company though it was suspected: those that ran alone were the wrong ones. Twice as many, then from
      // the front, find the right one in the end, wherever it stands.
      if (earlier && !alone)
        merged.set(name, {
          actor,
          hash,
          count: 2 * Math.max(earlier.count, count),
          mark: earlier.mark === null || earlier.mark === mark ? null : mark,
        });
      else merged.set(name, { actor, hash, count: Math.max(merged.get(name)?.count ?? 0, count), mark });
      // Asks may pass what runs alone, for it may wait for them. Then it was not alone.
      if (!alone || records.length > 1) continue;
      const deaths = (this.#deaths.get(record.idHash) ?? 0) + 1;
      this.#deaths.set(record.idHash, deaths);
      if (deaths === this.#quarantineAfter) this.quarantined.push({ actor, hash, idHash: record.idHash });
    }
    slot.suspects = [...merged.values()];
  }
}

function nameOf({ actor, hash }: { actor: number; hash: number }): string {
  return `${actor}/${hash}`;
}
