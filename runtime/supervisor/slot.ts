/** What the supervisor knows of one thread of the topology, through all its incarnations. */

import type { Suspect } from '../host/control.ts';
import { Ledger } from '../host/ledger.ts';
import { GAUGES, type ThreadHandle } from './threads.ts';

/** starting: spawned · booted: lanes may be opened · up: ready · down: gone, a replacement is due · closed: gone for good. */
export type Status = 'starting' | 'booted' | 'up' | 'down' | 'closed';

export class Slot {
  readonly index: number;
  readonly kind: 'host' | 'io';
  status: Status = 'down';
  incarnation = 0;
  handle: ThreadHandle | null = null;
  ledger: Int32Array;
  gauges: Int32Array = newGauges();
  /** Times of unplanned deaths within the window of the budget. */
  deaths: number[] = [];
  suspects: Suspect[] = [];
  /** Why the supervisor kills it, told when it is gone. */
  killReason: KillReason | null = null;
  /** Ledger slots that are to blame for a kill; all others were uninvolved. */
  blamed: readonly number[] | undefined;
  downAt = 0;
  /** The beat seen last, and when it changed. */
  beat = -1;
  beatAt = 0;
  /** Since when its heap is above the watermark, or 0. */
  heapHighSince = 0;
  heapRecycles = 0;
  paused = false;

  readonly #ledgerSlots: number;

  /** `ledgerSlots`: batches that can be in flight at once. */
  constructor(index: number, kind: 'host' | 'io', ledgerSlots: number) {
    this.index = index;
    this.kind = kind;
    this.#ledgerSlots = ledgerSlots;
    this.ledger = Ledger.create(ledgerSlots);
  }

  /** Fresh shared memory for a new incarnation: the dead one may not write into it. */
  renew(): void {
    this.incarnation++;
    this.ledger = Ledger.create(this.#ledgerSlots);
    this.gauges = newGauges();
    this.beat = -1;
    this.heapHighSince = 0;
    this.paused = false;
    this.killReason = null;
    this.blamed = undefined;
  }

  get isReachable(): boolean {
    return this.status === 'booted' || this.status === 'up';
  }
}

/** Kills of the supervisor's. Nobody in flight is to blame for chaos, heap, operator and failed starts (rule 10). */
export type KillReason = 'chaos' | 'operator' | 'heap' | 'stuck' | 'zombie' | 'failed' | 'stopping';

function newGauges(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * GAUGES));
}
