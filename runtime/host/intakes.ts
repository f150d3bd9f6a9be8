/**
 * The receiving ends of all lanes to this host, and the frames that came and are not unpacked yet. While many keys stand
 * in line already, more messages in mailboxes would not be handled sooner: as bytes they cost the garbage collector
 * nothing, and unpacked shortly before their turn they are still in the cache then. (Measured with 10,000 keys: half of
 * the time of a host went into memory that it had to wait for.)
 */
import type { Port } from '../lanes/port.ts';
import type { Cell } from './cell.ts';
import { Intake, type IntakeNeeds } from './intake.ts';

/** Frames unpacked from which on the line is cut. */
const TRIM = 1024;

export interface IntakesNeeds {
  now(): number;
  /** A frame came. */
  arrived(): void;
  /** By actor; null for those that are not here. */
  readonly cells: readonly (Pick<Cell, 'knownBy' | 'forgetSender'> | null)[];
  accept: IntakeNeeds['accept'];
  /** Something is to be sent back: `flush` is wanted. */
  dirty(): void;
}

export class Intakes {
  readonly #needs: IntakesNeeds;
  readonly #intakes = new Map<number, Intake>();
  readonly #dirty = new Set<Intake>();
  /** Whose frames wait, one entry a frame, in the order of arrival. */
  #line: Intake[] = [];
  #at = 0;
  /** Messages and bytes of the frames that wait. */
  messages = 0;
  bytes = 0;

  constructor(needs: IntakesNeeds) {
    this.#needs = needs;
  }

  open(slot: number, incarnation: number, port: Port): void {
    this.close(slot);
    const intake = new Intake(slot, incarnation, port, {
      now: this.#needs.now,
      arrived: (one, mayWait, messages, bytes) => {
        this.#line.push(one);
        this.messages += messages;
        this.bytes += bytes;
        if (!mayWait) this.pullAll();
        this.#needs.arrived();
      },
      unpacked: (messages, bytes) => {
        this.messages -= messages;
        this.bytes -= bytes;
      },
      known: (one, actor) => this.#needs.cells[actor]?.knownBy(one) ?? null,
      accept: this.#needs.accept,
      dirty: one => {
        this.#dirty.add(one);
        this.#needs.dirty();
      },
    });
    this.#intakes.set(slot, intake);
  }

  /** The sender in this slot died. All that came of it is in mailboxes then, to be found there. */
  close(slot: number): Intake | undefined {
    const intake = this.#intakes.get(slot);
    if (!intake) return undefined;
    this.#intakes.delete(slot);
    this.pullAll();
    intake.orphan();
    for (const cell of this.#needs.cells) cell?.forgetSender(intake);
    return intake;
  }

  /** This host let go of a partition. */
  released(partition: number): void {
    for (const intake of this.#intakes.values()) intake.released(partition);
  }

  /** Sends settlements and all else that flows back. */
  flush(): void {
    for (const intake of this.#dirty) intake.flush();
    this.#dirty.clear();
  }

  /** Frames that are not unpacked. */
  get frames(): number {
    return this.#line.length - this.#at;
  }

  /** Unpacks the frame that came first; false when there is none. */
  pull(): boolean {
    if (this.#at === this.#line.length) return false;
    const intake = this.#line[this.#at++]!;
    if (this.#at === this.#line.length) {
      this.#line.length = 0;
      this.#at = 0;
    } else if (this.#at === TRIM) {
      this.#line = this.#line.slice(TRIM);
      this.#at = 0;
    }
    intake.unpackNext();
    return true;
  }

  pullAll(): void {
    while (this.pull());
  }
}
