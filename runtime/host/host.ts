/**
 * What runs in a thread: the sending half (Sender), the receiving half (intakes, cells, scheduler, delivery), and for
 * I/O threads the sources. The supervisor steers it by commands; everything it knows comes in through the constructor,
 * so the simulation runs it as it is.
 */
import type { Environment } from '../environment.ts';
import { asError, toWire, type WireError } from '../errors.ts';
import { Homes } from '../lanes/homes.ts';
import { loopback } from '../lanes/loopback.ts';
import { BOUNCED } from '../lanes/port.ts';
import { Sender } from '../lanes/sender.ts';
import type { Item, Origin } from '../mailbox/item.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { Log } from '../topology/define.ts';
import { Asks } from './asks.ts';
import { Cell } from './cell.ts';
import { actorContext, Directory } from './context.ts';
import type { Command, Report } from './control.ts';
import { Delivery } from './deliver.ts';
import { type HostPlan, targetsOf } from './host-plan.ts';
import { snapshotCell } from './inspect.ts';
import { Intakes } from './intakes.ts';
import { Ledger } from './ledger.ts';
import { operate, wakeBackedOff } from './operating.ts';
import { Outgoing } from './outgoing.ts';
import { Parking, type ParkStore } from './parking.ts';
import { Releases } from './releases.ts';
import { Residents } from './residents.ts';
import { Room } from './room.ts';
import { Scheduler } from './scheduler.ts';
import { openStates, restoreStates } from './states.ts';
import { Troubles } from './troubles.ts';
import { TurnClock } from './turn-clock.ts';

export class Host {
  readonly plan: HostPlan;
  readonly environment: Environment;
  readonly sender: Sender;
  readonly asks: Asks;
  readonly cells: (Cell | null)[] = [];
  readonly directory = new Directory();
  readonly scheduler: Scheduler;
  readonly delivery: Delivery;
  readonly outgoing: Outgoing;
  readonly troubles: Troubles;
  readonly #residents: Residents;
  readonly #parking: Parking;
  readonly #room: Room;
  readonly #releases: Releases;
  readonly #report: (report: Report) => void;
  readonly homes: Homes;
  readonly #intakes: Intakes;
  readonly #clock: TurnClock;
  #flushing = false;
  readonly #logs = new Map<string, Log>();

  constructor(
    plan: HostPlan,
    environment: Environment,
    report: (report: Report) => void,
    parkStore: ParkStore | null = null,
  ) {
    this.plan = plan;
    this.environment = environment;
    this.#report = report;
    this.homes = new Homes(plan.homes);
    this.sender = new Sender(
      environment,
      { slot: plan.slot, incarnation: plan.incarnation },
      this.homes,
      targetsOf(plan),
      slot => this.#requestLane(slot),
      isIdle => this.#wantFlush(isIdle),
    );
    this.asks = new Asks(environment);
    plan.actors.forEach((actor, index) => {
      this.directory.add(index, actor.name, actor.definition);
      const here = actor.slot === null ? plan.kind === 'host' : actor.slot === plan.slot;
      this.cells.push(
        here ? new Cell(index, actor.name, actor.definition, actor.options, plan.options, actor.slot !== null) : null,
      );
    });
    for (const { count } of plan.suspects) Atomics.add(plan.gauges, 1, count);
    for (const suspect of plan.suspects) this.cells[suspect.actor]?.suspects.set(suspect.hash, suspect);
    this.#clock = new TurnClock(environment.clock);
    this.#intakes = new Intakes({
      now: () => this.#clock.tick(),
      arrived: () => this.scheduler.arrived(),
      cells: this.cells,
      accept: (item, actor, homesSeen, known) => this.#accept(item, actor, homesSeen, known),
      dirty: () => this.#wantFlush(),
    });
    const ledger = new Ledger(plan.ledger);
    for (const { actor, hash, idHash } of plan.quarantined) this.cells[actor]?.quarantine(hash, idHash);
    this.scheduler = new Scheduler({
      environment,
      options: plan.options,
      cells: this.cells,
      ledger,
      clock: this.#clock,
      backlog: this.#intakes,
      ranOut: () => this.flush(),
      deliver: (cell, mailbox, items, trigger, alone) => {
        if (alone) Atomics.sub(plan.gauges, 1, 1);
        this.#room.maybeFree(cell, mailbox);
        this.delivery.start(cell, mailbox, items, trigger, alone);
      },
      expire: (cell, mailbox, item) => {
        this.#room.maybeFree(cell, mailbox);
        this.delivery.expire(cell, mailbox, item);
      },
    });
    this.outgoing = new Outgoing({
      plan,
      environment,
      directory: this.directory,
      sender: this.sender,
      asks: this.asks,
      scheduler: this.scheduler,
      report,
      logOf: actor => this.logOf(actor),
      put: (cell, mailbox, item) => this.#put(cell, mailbox, item),
    });
    openStates(this);
    this.troubles = new Troubles({ plan, environment, outgoing: this.outgoing, scheduler: this.scheduler, report });
    this.delivery = new Delivery({
      environment,
      contexts: this.outgoing,
      sender: this.sender,
      ledger,
      scheduler: this.scheduler,
      clock: this.#clock,
      bury: (letter, written) => this.troubles.bury(letter, written),
      handled: (cell, mailbox) => this.#releases.handled(cell, mailbox),
      freed: (cell, mailbox) => this.#freed(cell, mailbox),
      supervise: (cell, mailbox, error) => this.troubles.supervise(cell, mailbox, error),
      stop: (cell, error) => this.troubles.stop(cell, error),
      recycle: slot => report({ type: 'recycle', reason: 'zombie', ledger: [slot] }),
      isLeaving: mailbox => this.#releases.isLeaving(mailbox),
    });
    this.#residents = new Residents(environment, this.outgoing, (cell, mailbox) => this.#freed(cell, mailbox));
    this.#parking = new Parking(
      this,
      parkStore,
      (cell, item) => this.#room.drop(cell, item, 'KeyFull'),
      (cell, mailbox, item) => this.#put(cell, mailbox, item),
      mailbox => this.#releases.rested(mailbox),
    );
    this.#room = new Room({
      environment,
      delivery: this.delivery,
      parking: this.#parking,
      partitions: this.homes.partitions,
      unrefused: partition => this.#releases.releasedIfResting(partition),
    });
    this.#releases = new Releases({
      environment,
      cells: this.cells,
      homes: this.homes,
      sender: this.sender,
      scheduler: this.scheduler,
      residents: this.#residents,
      parking: this.#parking,
      room: this.#room,
      letGo: mailbox => this.delivery.letGo(mailbox),
      released: partition => {
        this.#intakes.released(partition);
        this.sender.flushAll(); // what was bounced and settled must be on its way before the supervisor opens the new home
        this.#intakes.flush();
        report({ type: 'released', partition });
      },
    });
  }

  get slot(): number {
    return this.plan.slot;
  }

  /** Runs the init hooks and makes ready. Rejects with what an init hook threw. */
  async start(): Promise<void> {
    this.#parking.learn(this.homes);
    for (const cell of this.cells.filter(cell => cell !== null).toSorted((a, b) => Number(b.fixed) - Number(a.fixed))) {
      // I/O actors first: others may ask them.
      await cell.definition.init?.(actorContext(this.outgoing, cell.name));
      await restoreStates(this, cell);
      cell.initialised = true;
      for (const mailbox of cell.mailboxes()) this.scheduler.consider(cell, mailbox);
    }
    this.#residents.watch(this.cells);
  }

  /** Hands all resident keys to onPassivate and calls the close hooks. */
  async close(): Promise<void> {
    this.#residents.close();
    for (const cell of this.cells) {
      if (!cell) continue;
      for (const mailbox of [...cell.mailboxes()])
        if (mailbox.standing !== 'running') {
          this.scheduler.unline(mailbox);
          await new Promise<void>(resolve => this.#residents.dismiss(cell, mailbox, resolve));
        }
      try {
        await cell.definition.close?.(actorContext(this.outgoing, cell.name));
      } catch (error) {
        this.logOf(cell.name).error({ err: toWire(error) }, 'close failed');
      }
    }
  }

  /** Lets go of lanes and timers, after close. */
  dispose(): void {
    this.asks.close();
    this.scheduler.close();
    this.sender.flushAll();
    this.#intakes.flush();
    this.sender.close();
  }

  /** Sends what this turn collected: frames and settlements. */
  flush(): void {
    this.sender.flush();
    this.#intakes.flush();
  }

  // ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Commands that concern lanes, homes and keys. Sources, snapshots and the life cycle are the thread's (entry.ts). */
  command(command: Command): void {
    switch (command.type) {
      case 'lane-out':
        return this.sender.laneOpened(command.slot, command.port);
      case 'lane-in':
        return this.#intakes.open(command.slot, command.incarnation, command.port);
      case 'peer-down':
        return this.#peerDown(command.slot);
      case 'peer-up':
        return this.sender.peerUp(command.slot);
      case 'peer-paused':
        return this.sender.peerPaused(command.slot, command.paused);
      case 'homes-changed':
        this.#parking.learn(this.homes);
        return this.sender.homesChanged();
      case 'release':
        this.#intakes.pullAll();
        return this.#releases.release(command.partition);
      case 'drain':
        this.scheduler.draining = command.draining;
        for (const cell of this.cells)
          if (cell) for (const mailbox of cell.mailboxes()) this.scheduler.consider(cell, mailbox);
        return;
      case 'io-well':
        return wakeBackedOff(this, this.cells, command.io);
      case 'key':
        return this.#operate(command);
    }
  }

  #requestLane(slot: number): void {
    if (slot !== this.plan.slot) return this.#report({ type: 'lane-request', slot });
    const [out, into] = loopback(this.environment);
    this.#intakes.open(slot, this.plan.incarnation, into);
    // The sender is about to use the lane it asked for: open it when it has.
    this.environment.endOfTurn(() => this.sender.laneOpened(slot, out));
  }

  /** What is sent while turns run leaves after them; the first on an idle lane at once; all else at the end of the turn. */
  #wantFlush(isIdle = false): void {
    if (this.scheduler.isRunning) return;
    if (isIdle) return this.environment.soon(() => this.sender.flush());
    if (this.#flushing) return;
    this.#flushing = true;
    this.environment.endOfTurn(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  /** A sender died. Of what it sent, queued items that will be replayed are dropped; what runs may finish (rule 9). */
  #peerDown(slot: number): void {
    this.sender.peerDown(slot);
    const intake = this.#intakes.close(slot);
    if (!intake) return;
    for (const cell of this.cells)
      if (cell)
        for (const mailbox of [...cell.mailboxes()]) {
          mailbox.holding?.delete(intake);
          this.#dropOrphans(cell, mailbox, intake);
        }
  }

  #dropOrphans(cell: Cell, mailbox: Mailbox, intake: Origin): void {
    let dropped = false;
    for (let item = mailbox.head; item !== null; ) {
      const next: Item | null = item.next;
      if (item.origin === intake) {
        if (item.isOrphan) {
          this.environment.probe?.('mailbox.orphans-dropped');
          this.#room.takeOut(cell, mailbox, item);
          dropped = true;
        } else this.environment.probe?.('mailbox.orphans-kept');
      }
      item = next;
    }
    if (dropped && mailbox.count === 0 && mailbox.standing === 'ready') this.scheduler.unline(mailbox);
    if (!dropped) return;
    this.#room.maybeFree(cell, mailbox);
    this.scheduler.consider(cell, mailbox);
  }

  // ── accepting ────────────────────────────────────────────────────────────────────────────────────────────────────

  #accept(item: Item, actor: number, homesSeen: number, known?: Mailbox): Mailbox | undefined {
    const cell = this.cells[actor];
    if (!cell || (!cell.fixed && homesSeen !== this.homes.version && this.#isStray(item, homesSeen))) {
      item.origin.settle(item.seq, BOUNCED);
      return undefined;
    }
    if (
      cell.options.onKeyFull === 'park' &&
      !cell.fixed &&
      !this.#parking.knows(item.hash & this.homes.mask, this.homes)
    ) {
      this.#parking.await(this.homes, () => {
        if (!item.isOrphan) this.#accept(item, actor, homesSeen);
      });
      return undefined;
    }
    const mailbox = cell.mailboxOf(item.key, item.hash, this.#clock.now, known);
    cell.stats.enqueued++;
    if (mailbox.parked > 0) this.#parking.park(cell, mailbox, item);
    else if ((mailbox.refusing === 0 && !cell.isFull(mailbox, item.size)) || this.#room.make(cell, mailbox, item))
      this.#put(cell, mailbox, item);
    return mailbox;
  }

  /** Sent to a home that this host is not, or was not any more when the message left (rule 19). */
  #isStray(item: Item, homesSeen: number): boolean {
    const partition = item.hash & this.homes.mask;
    return this.homes.homeOf(partition) !== this.plan.slot || this.homes.epochOf(partition) > homesSeen;
  }

  #put(cell: Cell, mailbox: Mailbox, item: Item): void {
    const priority = item.extras !== null && item.extras.priority >= 0 ? item.extras.priority : cell.options.priority;
    if (priority < mailbox.priority) this.scheduler.raise(mailbox, priority);
    if (cell.isQuarantined(mailbox, item)) item.solo = true; // to be recognised when its turn comes
    if (!this.scheduler.handleNow(cell, mailbox, item, priority)) {
      mailbox.push(item, priority);
      cell.stats.depth++;
      cell.stats.depthBytes += item.size;
      this.scheduler.consider(cell, mailbox, this.#clock.now);
    }
    this.#residents.bound(cell, mailbox);
  }

  /** A batch is over and its children left: the key may go on, unless its partition is leaving. */
  #freed(cell: Cell, mailbox: Mailbox): void {
    this.#releases.handled(cell, mailbox);
    if (!mailbox.isResident) return;
    this.#room.maybeFree(cell, mailbox);
    this.scheduler.release(cell, mailbox);
  }

  logOf(actor: string): Log {
    let log = this.#logs.get(actor);
    if (!log) {
      const write = (level: 'debug' | 'info' | 'warn' | 'error') => (fields: Record<string, unknown>, text: string) =>
        this.#report({ type: 'log', level, fields: { actor, thread: this.plan.slot, ...fields }, text });
      log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
      this.#logs.set(actor, log);
    }
    return log;
  }

  // ── operating ────────────────────────────────────────────────────────────────────────────────────────────────────

  #operate(command: Extract<Command, { type: 'key' }>): void {
    this.#intakes.pullAll(); // what came for the key
    const cell = this.cells[command.actor];
    const { environment, scheduler, delivery } = this;
    const value = cell ? operate({ environment, scheduler, delivery, room: this.#room }, cell, command) : undefined;
    this.#report({ type: 'answer', ticket: command.ticket, value });
  }

  snapshotActors(): Record<string, ReturnType<typeof snapshotCell>> {
    const now = this.environment.clock.now();
    return Object.fromEntries(
      this.cells.filter(cell => cell !== null).map(cell => [cell.name, snapshotCell(cell, now)]),
    );
  }

  /** Messages and bytes that wait packed. */
  get backlog(): { backlogMessages: number; backlogBytes: number } {
    return { backlogMessages: this.#intakes.messages, backlogBytes: this.#intakes.bytes };
  }

  /** For the thread's own troubles. */
  fail(error: unknown): void {
    this.#report({ type: 'failed', error: toWire(asError(error)) as WireError });
  }
}
