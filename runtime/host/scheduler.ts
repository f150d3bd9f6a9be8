/**
 * Decides which mailbox takes its turn and how much of it one batch takes; starts the batch through `deliver`. A
 * mailbox is looked at (`consider`) whenever something about it changed.
 */
import type { Environment } from '../environment.ts';
import { TIMER } from '../lanes/envelope.ts';
import { ArrayPool } from '../mailbox/arrays.ts';
import { Deadlines } from '../mailbox/deadlines.ts';
import type { Item } from '../mailbox/item.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import { Turns } from '../mailbox/turns.ts';
import { micros } from '../observe/stats.ts';
import type { BatchTrigger } from '../topology/define.ts';
import type { RuntimeOptions } from '../topology/options.ts';
import type { Cell } from './cell.ts';
import { type Ledger, markOf } from './ledger.ts';
import type { TurnClock } from './turn-clock.ts';

export interface SchedulerNeeds {
  readonly environment: Environment;
  readonly options: RuntimeOptions;
  readonly cells: readonly (Cell | null)[];
  readonly ledger: Ledger;
  readonly clock: TurnClock;
  /** Starts a batch. The mailbox is `running` until `release` was called for it. */
  deliver(cell: Cell, mailbox: Mailbox, items: Item[], trigger: BatchTrigger, alone: boolean): void;
  /** Frames that are not unpacked yet. */
  readonly backlog: { readonly frames: number; pull(): boolean };
  /** Turns have run: what they sent may leave. */
  ranOut(): void;
  /** Takes an item whose deadline passed. */
  expire(cell: Cell, mailbox: Mailbox, item: Item): void;
}

/**
 * When fewer keys stand in line, frames are unpacked until ENOUGH_TURNS do: all there are, if one key filled them. So a
 * long queue is known in its full depth, and does not hide the keys that came behind it.
 */
const FEW_TURNS = 32;
const ENOUGH_TURNS = 64;

export class Scheduler {
  readonly #needs: SchedulerNeeds;
  readonly #turns: Turns;
  readonly deadlines: Deadlines;
  /** The arrays that batches travel in. */
  readonly arrays = new ArrayPool();
  /** Mailboxes whose first items must run with no other batch in flight (rule 10). */
  readonly #alone: Mailbox[] = [];
  #aloneRuns = false;
  #awake = false;
  /** Handlers running now, over all cells. */
  running = 0;
  /** Turns run now, and since when. */
  isRunning = false;
  #started = 0;
  /** Counts the times that frames were unpacked. */
  #round = 0;
  draining = false;

  constructor(needs: SchedulerNeeds) {
    this.#needs = needs;
    this.#turns = new Turns(needs.options.ageMs);
    this.deadlines = new Deadlines(needs.environment.clock);
  }

  /**
   * Looks at a mailbox after a change: it may become idle, wait for a time, or get in line. An older `now` does no harm:
   * what is due already is then looked at again by the clock.
   */
  consider(cell: Cell, mailbox: Mailbox, now: number = this.#needs.clock.tick()): void {
    if (mailbox.standing === 'running' || mailbox.standing === 'ready') return;
    if (mailbox.count === 0) {
      if (mailbox.standing !== 'idle') {
        mailbox.standing = 'idle';
        mailbox.idleSince = Math.floor(now);
      }
      return;
    }
    if (mailbox.standing === 'idle') mailbox.standing = 'waiting';
    if (mailbox.paused || cell.stopped || !cell.initialised) return;
    if (mailbox.notBefore > now) return this.#lookAgain(cell, mailbox, mailbox.notBefore);
    if (cell.options.rate && !this.#hasToken(cell, mailbox, now)) return;
    if (isSuspect(mailbox, mailbox.head!)) {
      mailbox.standing = 'ready';
      mailbox.line = 'alone';
      this.#alone.push(mailbox);
      this.wake();
      return;
    }
    const due = mailbox.firstAt + cell.flushMs;
    if (
      cell.flushMs > 0 &&
      now < due &&
      !this.draining &&
      !mailbox.head!.solo &&
      !isTimer(mailbox.head!) &&
      mailbox.count < cell.sizing.enough(mailbox.lastBatch) &&
      mailbox.bytes < cell.options.batch.maxBytes
    )
      return this.#lookAgain(cell, mailbox, due);
    this.#turns.push(mailbox, now);
    this.wake();
  }

  /**
   * Handles a message that just came for a key at rest, if turns run: no key stood in line when its frame was unpacked.
   * Only one of each key meanwhile: what follows takes its turn, so that a long queue does not hold up the others. False
   * where it must join its mailbox.
   */
  handleNow(cell: Cell, mailbox: Mailbox, item: Item, priority: number): boolean {
    if (
      !this.isRunning ||
      mailbox.standing !== 'idle' ||
      mailbox.round === this.#round ||
      !mailbox.isPlain ||
      !cell.handlesSingly ||
      !cell.initialised ||
      cell.stopped ||
      cell.running >= cell.options.concurrency ||
      item.deadline > 0 ||
      (item.extras !== null && item.extras.priority >= 0) ||
      item.solo ||
      this.#alone.length > 0 ||
      this.#aloneRuns ||
      this.draining ||
      this.#needs.ledger.isFull ||
      this.#isOver
    )
      return false;
    mailbox.round = this.#round;
    mailbox.priority = priority;
    const items = this.arrays.take<Item>(1);
    items[0] = item;
    this.#begin(cell, mailbox, items, 'size', false);
    return true;
  }

  /** An item of this priority is about to join a mailbox that may stand in line. */
  raise(mailbox: Mailbox, priority: number): void {
    if (mailbox.line === 'turns') this.#turns.raise(mailbox, priority);
  }

  /** Takes a mailbox out of line, for what must not run now (paused, moving, stopped). */
  unline(mailbox: Mailbox): void {
    if (mailbox.line === 'turns') this.#turns.remove(mailbox);
    else if (mailbox.line === 'crowd') this.#needs.cells[mailbox.actor]!.crowd.remove(mailbox);
    else if (mailbox.line === 'alone') this.#alone.splice(this.#alone.indexOf(mailbox), 1);
    else return;
    mailbox.standing = 'waiting';
    mailbox.line = null;
    this.#admit(this.#needs.cells[mailbox.actor]!);
  }

  /** Runs turns at the end of this turn of the event loop. */
  wake(): void {
    if (this.#awake || this.isRunning) return; // `run` wakes itself where something is left
    this.#awake = true;
    this.#runLater();
  }

  #runLater(): void {
    this.#needs.environment.endOfTurn(() => {
      this.#awake = false;
      if (this.#hasWork) this.run();
    });
  }

  /** A frame came. The first one that comes to a host at rest is handled at once. */
  arrived(): void {
    if (this.#awake) return;
    this.#awake = true; // those that come after it in this turn of the event loop wait for its end
    this.run();
    this.#runLater();
  }

  /** Something could be done now, but for a full ledger. */
  get #hasWork(): boolean {
    return this.#turns.size > 0 || this.#alone.length > 0 || this.#needs.backlog.frames > 0;
  }

  /** Runs turns until none is left or the quantum of time is used up. */
  run(): void {
    this.#started = this.#needs.clock.tick();
    this.isRunning = true;
    let skipped: Mailbox[] | null = null;
    for (;;) {
      if (this.#turns.size < FEW_TURNS) this.#unpack();
      if (this.#needs.ledger.isFull) break;
      if (this.#alone.length > 0 && this.running === 0) {
        const mailbox = this.#alone.shift()!;
        mailbox.standing = 'waiting';
        mailbox.line = null;
        this.#needs.environment.probe?.('batch.solo');
        this.#start(mailbox, true);
      } else {
        const mailbox = this.#turns.next(this.#needs.clock.now);
        if (mailbox === null) break;
        // While something must run alone only asks pass: what runs may be waiting for them.
        const cell = this.#needs.cells[mailbox.actor]!;
        if (isSuspect(mailbox, mailbox.head!)) {
          this.consider(cell, mailbox); // what stood before it has left
          this.#admit(cell);
        } else if ((this.#alone.length > 0 || this.#aloneRuns) && !mailbox.head!.isAsk) {
          mailbox.standing = 'ready'; // stays out of line until the end of this run
          (skipped ??= []).push(mailbox);
        } else if (cell.running >= cell.options.concurrency) {
          mailbox.standing = 'ready';
          mailbox.line = 'crowd';
          cell.crowd.push(mailbox);
        } else this.#start(mailbox, false);
      }
      if (this.#isOver) break;
    }
    this.isRunning = false;
    this.#needs.clock.rest();
    this.#needs.ranOut();
    let more = this.#turns.size > 0 || this.#needs.backlog.frames > 0;
    if (skipped !== null) {
      for (const mailbox of skipped) this.#turns.push(mailbox, this.#needs.clock.now);
      more ||= this.#alone.length === 0 && !this.#aloneRuns; // else who ends the wait for them wakes
    }
    if ((more && !this.#needs.ledger.isFull) || (this.#alone.length > 0 && this.running === 0)) this.wake();
  }

  /** Unpacks frames until enough keys stand in line, or a while has passed with messages that could be handled at once. */
  #unpack(): void {
    this.#round = (this.#round + 1) | 0;
    while (this.#turns.size < ENOUGH_TURNS && !this.#isOver) if (!this.#needs.backlog.pull()) break;
  }

  /** The quantum of time is used up. */
  get #isOver(): boolean {
    return this.#needs.clock.now - this.#started >= this.#needs.options.quantum.ms;
  }

  /** A batch of this mailbox is over and its children have left. */
  release(cell: Cell, mailbox: Mailbox): void {
    mailbox.standing = 'waiting';
    this.consider(cell, mailbox, this.#needs.clock.now);
    if (!this.isRunning && this.#hasWork) this.wake();
  }

  /** A handler ended: whoever waited for its slot gets in line again. */
  handlerEnded(cell: Cell, alone: boolean): void {
    this.running--;
    if (alone) this.#aloneRuns = false;
    if (cell.crowd.size > 0) this.#admit(cell);
    if (!this.isRunning && this.#hasWork) this.wake();
  }

  close(): void {
    this.deadlines.close();
  }

  /**
   * Lets the crowd have a slot that is free: to the first mailbox that still wants a turn. Called whenever a slot may
   * have become free, also when one that had been let in goes away without a turn, or the rest would wait for ever.
   */
  #admit(cell: Cell): void {
    if (cell.running >= cell.options.concurrency) return;
    for (let next = cell.crowd.head; next !== null; next = cell.crowd.head) {
      cell.crowd.remove(next);
      next.standing = 'waiting';
      next.line = null;
      this.consider(cell, next);
      if (next.line !== null) return;
    }
  }

  #start(mailbox: Mailbox, alone: boolean): void {
    const cell = this.#needs.cells[mailbox.actor]!;
    const depth = mailbox.count;
    const trigger = this.#trigger(cell, mailbox, depth);
    const items = this.#take(cell, mailbox, alone);
    if (cell.options.batch.strategy === 'doubling') mailbox.lastBatch = items.length;
    if (items.length === 0) {
      this.arrays.give(items);
      this.consider(cell, mailbox);
      this.#admit(cell);
      return;
    }
    if (cell.options.rate) mailbox.tokens -= items.length;
    if (alone) {
      this.#aloneRuns = true;
      mailbox.suspects--;
      mailbox.suspectMark = null;
    }
    this.#begin(cell, mailbox, items, trigger, alone);
  }

  #begin(cell: Cell, mailbox: Mailbox, items: Item[], trigger: BatchTrigger, alone: boolean): void {
    mailbox.standing = 'running';
    this.running++;
    const { stats } = cell;
    stats.dequeued += items.length;
    stats.batches++;
    stats.batchItems += items.length;
    stats.triggers[trigger]++;
    stats.inFlightBatches++;
    stats.queueing.record(micros(this.#needs.clock.now - items[0]!.arrivedAt));
    this.#needs.environment.probe?.(`batch.${trigger}`);
    this.#needs.deliver(cell, mailbox, items, trigger, alone);
  }

  #trigger(cell: Cell, mailbox: Mailbox, depth: number): BatchTrigger {
    if (mailbox.head!.solo || isSuspect(mailbox, mailbox.head!)) return 'solo';
    if (this.draining) return 'drain';
    if (cell.flushMs > 0 && depth < cell.sizing.enough(mailbox.lastBatch)) return 'time';
    return cell.sizing.trigger(depth);
  }

  #take(cell: Cell, mailbox: Mailbox, alone: boolean): Item[] {
    const { options } = cell;
    const { quantum } = this.#needs.options;
    const takesBatches = cell.definition.handleBatch !== undefined;
    let most =
      alone || mailbox.head!.solo || (takesBatches && isTimer(mailbox.head!))
        ? 1
        : cell.sizing.take(mailbox.count, mailbox.lastBatch);
    let bytes = options.batch.maxBytes;
    if (cell.definition.handle) {
      most = Math.min(most, quantum.items);
      bytes = quantum.bytes;
    }
    if (options.rate) most = Math.min(most, Math.floor(mailbox.tokens));
    const room = Math.min(most, mailbox.count);
    const items = this.arrays.take<Item>(room);
    let length = 0;
    let taken = 0;
    while (length < room) {
      const item = mailbox.head;
      if (
        item === null ||
        (length > 0 &&
          (item.solo || taken + item.size > bytes || isSuspect(mailbox, item) || (takesBatches && isTimer(item))))
      )
        break;
      mailbox.remove(item);
      cell.stats.depth--;
      cell.stats.depthBytes -= item.size;
      if (item.deadline > 0 && this.#needs.environment.clock.wall() > item.deadline) {
        this.#needs.expire(cell, mailbox, item);
        continue;
      }
      taken += item.size;
      items[length++] = item;
    }
    if (length < room) items.length = length;
    return items;
  }

  #lookAgain(cell: Cell, mailbox: Mailbox, at: number): void {
    if (mailbox.dueAt !== 0 && mailbox.dueAt <= at) return;
    mailbox.dueAt = at;
    this.deadlines.at(at, () => {
      if (mailbox.dueAt === at) mailbox.dueAt = 0;
      this.consider(cell, mailbox);
    });
  }

  /** Tops the token bucket of a key up; without a token the key waits until there is one. */
  #hasToken(cell: Cell, mailbox: Mailbox, now: number): boolean {
    const { messages, perMs } = cell.options.rate!;
    if (mailbox.tokens < 0) mailbox.tokens = messages;
    else mailbox.tokens = Math.min(messages, mailbox.tokens + ((now - mailbox.toppedUpAt) * messages) / perMs);
    mailbox.toppedUpAt = now;
    if (mailbox.tokens >= 1) return true;
    this.#lookAgain(cell, mailbox, now + Math.max(1, ((1 - mailbox.tokens) * perMs) / messages));
    return false;
  }
}

/** Whether an item at the front of a mailbox must run alone. */
function isSuspect(mailbox: Mailbox, item: Item): boolean {
  return mailbox.suspects > 0 && (mailbox.suspectMark === null || mailbox.suspectMark === markOf(item));
}

function isTimer(item: Item): boolean {
  return (item.flags & TIMER) !== 0;
}
