/**
 * The receiving end of a lane: unpacks frames into items and sends settlements, replies and key holds back, many in one
 * message at the end of a turn. Nothing here waits on a mailbox (rule 7).
 */
import type { Environment } from '../environment.ts';
import { KeymillError, toWire } from '../errors.ts';
import { packValue, readFrame } from '../lanes/frame.ts';
import type { Port, Returns, SettleCode } from '../lanes/port.ts';
import { Item, type Origin } from '../mailbox/item.ts';
import type { Key } from '../topology/define.ts';

export class Intake implements Origin {
  readonly slot: number;
  readonly incarnation: number;
  alive = true;
  readonly #port: Port;
  readonly #environment: Environment;
  readonly #dirty: (intake: Intake) => void;
  /** seq × 4 + code, in the order of settling. */
  #settled: number[] = [];
  #ordered = true;
  #replies: NonNullable<Returns['replies']> = [];
  #hold: NonNullable<Returns['hold']> = [];
  #free: NonNullable<Returns['free']> = [];
  #released: NonNullable<Returns['released']> = [];
  #tried: NonNullable<Returns['tried']> = [];
  /** Sequence number of the message that came last. */
  #last = -1;
  #isDirty = false;

  constructor(
    slot: number,
    incarnation: number,
    port: Port,
    environment: Environment,
    dirty: (intake: Intake) => void,
    accept: (item: Item, actor: number, homesSeen: number) => void,
    turn: () => void,
  ) {
    this.slot = slot;
    this.incarnation = incarnation;
    this.#port = port;
    this.#environment = environment;
    this.#dirty = dirty;
    port.onMessage(message => {
      this.#unpack(message as Uint8Array, accept);
      turn();
    });
  }

  settle(seq: number, code: SettleCode): void {
    if (!this.alive) return;
    const settled = this.#settled;
    const entry = seq * 4 + code;
    if (settled.length > 0 && entry < settled[settled.length - 1]!) this.#ordered = false;
    settled.push(entry);
    this.#touch();
  }

  tried(seq: number, calls: number, attempt: number): void {
    if (this.alive) this.#tried.push({ seq, calls, attempt });
  }

  reply(seq: number, ok: boolean, value: unknown): void {
    if (!this.alive) return;
    let reply: { seq: number; ok: boolean; bytes: Uint8Array };
    try {
      reply = { seq, ok, bytes: packValue(ok ? value : toWire(value)) };
    } catch (error) {
      reply = {
        seq,
        ok: false,
        bytes: packValue(
          toWire(new KeymillError('MESSAGE_NOT_CARRIABLE', 'the reply of the handler', { cause: error })),
        ),
      };
    }
    this.#replies.push(reply);
    this.#touch();
  }

  hold(actor: number, key: Key): void {
    if (!this.alive) return;
    this.#hold.push({ actor, key });
    this.#touch();
  }

  free(actor: number, key: Key): void {
    if (!this.alive) return;
    this.#free.push({ actor, key });
    this.#touch();
  }

  /** This host let go of a partition: what came of it so far is handled or bounced. */
  released(partition: number): void {
    if (!this.alive) return;
    this.#released.push({ partition, upTo: this.#last });
    this.#touch();
  }

  /** The sender died. */
  orphan(): void {
    this.alive = false;
    this.#port.close();
  }

  flush(): void {
    this.#isDirty = false;
    if (!this.alive) return;
    const returns: Returns = {};
    if (this.#settled.length > 0) returns.runs = this.#runs();
    if (this.#tried.length > 0) returns.tried = this.#tried;
    if (this.#replies.length > 0) returns.replies = this.#replies;
    if (this.#hold.length > 0) returns.hold = this.#hold;
    if (this.#free.length > 0) returns.free = this.#free;
    if (this.#released.length > 0) returns.released = this.#released;
    this.#replies = [];
    this.#hold = [];
    this.#free = [];
    this.#released = [];
    this.#tried = [];
    this.#port.post(returns);
  }

  #touch(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#dirty(this);
  }

  /** Joins what settled into runs of consecutive numbers with the same code. */
  #runs(): Float64Array {
    const settled = this.#ordered ? this.#settled : Array.from(Float64Array.from(this.#settled).sort());
    const runs: number[] = [];
    let first = -1;
    let last = -2;
    let code = -1;
    for (const entry of settled) {
      const seq = Math.floor(entry / 4);
      const its = entry % 4;
      if (seq === last + 1 && its === code) last = seq;
      else {
        if (code >= 0) runs.push(first, last, code);
        first = last = seq;
        code = its;
      }
    }
    runs.push(first, last, code);
    this.#settled = [];
    this.#ordered = true;
    return Float64Array.from(runs);
  }

  #unpack(bytes: Uint8Array, accept: (item: Item, actor: number, homesSeen: number) => void): void {
    if (!this.alive) return;
    const frame = readFrame(bytes);
    if (frame.incarnation !== this.incarnation || frame.slot !== this.slot) return; // each incarnation has a port of its own
    const now = this.#environment.clock.now();
    this.#last = frame.seqOf(frame.bodies.length - 1);
    let index = 0;
    let extra = 0;
    for (const [actor, flags, source, epoch, count, positions, paths] of frame.groups)
      for (let i = 0; i < count; i++, index++) {
        const extras = frame.extras[extra]?.[0] === index ? frame.extras[extra++]![1] : null;
        const position = typeof positions === 'number' ? positions + i : positions[i]!;
        const item = new Item(
          frame.bodies[index],
          frame.keys[index]!,
          frame.hashesAndSizes[2 * index]!,
          this,
          frame.seqOf(index),
          frame.hashesAndSizes[2 * index + 1]!,
          source,
          epoch,
          position,
          paths === 0 ? '' : paths[i]!,
          flags,
          extras,
          now,
        );
        accept(item, actor, frame.homes);
      }
  }
}
