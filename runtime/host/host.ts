/**
 * What runs in a thread: the sending half (Sender), the receiving half (intakes, cells, scheduler, delivery), and for
 * I/O threads the sources. The supervisor steers it by commands; everything it knows comes in through the constructor,
 * so the simulation runs it as it is.
 */
import type { DeadLetter } from '../delivery/dead-letter.ts';
import type { Environment } from '../environment.ts';
import { asError, describe, isKeymillError, KeymillError, toWire, type WireError } from '../errors.ts';
import type { IoSpec } from '../io/contract.ts';
import { DROPPABLE, type Envelope, type Extras, NO_EXTRAS, REPLAYABLE, TIMER } from '../lanes/envelope.ts';
import { carryWithin } from '../lanes/frame.ts';
import { Homes } from '../lanes/homes.ts';
import { hashKey } from '../lanes/key-hash.ts';
import { loopback } from '../lanes/loopback.ts';
import { BOUNCED, DROPPED, type Port } from '../lanes/port.ts';
import { Sender, type Target } from '../lanes/sender.ts';
import { Item, NOWHERE, type Origin } from '../mailbox/item.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { DropReason } from '../observe/stats.ts';
import type { ActorRef, AnyDefinition, Key, Log, SendOptions } from '../topology/define.ts';
import type { ActorOptions, RuntimeOptions } from '../topology/options.ts';
import { Asks } from './asks.ts';
import { type Batch, settleAs } from './batch.ts';
import { Cell } from './cell.ts';
import { actorContext, type ContextHost, checkKey, Directory } from './context.ts';
import type { Command, Quarantined, Report, Suspect } from './control.ts';
import { Delivery } from './deliver.ts';
import { inspectKey, snapshotCell } from './inspect.ts';
import { Intake } from './intake.ts';
import { Ledger } from './ledger.ts';
import { Parking, type ParkStore } from './parking.ts';
import { Residents } from './residents.ts';
import { Scheduler } from './scheduler.ts';

/** An actor as every thread knows it; `io` for I/O actors, which live on one thread. */
export interface ActorPlan {
  readonly name: string;
  readonly definition: AnyDefinition;
  readonly options: ActorOptions;
  /** The thread of an I/O actor; null for actors on the hosts. */
  readonly slot: number | null;
  readonly io: IoSpec | null;
}

export interface HostPlan {
  readonly slot: number;
  readonly incarnation: number;
  readonly kind: 'main' | 'host' | 'io';
  readonly actors: readonly ActorPlan[];
  readonly options: RuntimeOptions;
  readonly homes: Int32Array;
  readonly ledger: Int32Array;
  /** Shared words the supervisor watches, see supervisor/threads.ts. */
  readonly gauges: Int32Array;
  readonly suspects: readonly Suspect[];
  readonly quarantined: readonly Quarantined[];
  /** Index of the actor that stores dead letters. */
  readonly deadLetters: number;
}

const ASK_TIMEOUT_MS = 30_000;
const DROP_PROBES = {
  DropOldest: 'mailbox.drop-oldest',
  DropNewest: 'mailbox.drop-newest',
  DropWrite: 'mailbox.drop-write',
  KeyFull: 'mailbox.drop-ask',
} as const;

export class Host implements ContextHost {
  readonly plan: HostPlan;
  readonly environment: Environment;
  readonly sender: Sender;
  readonly asks: Asks;
  readonly cells: (Cell | null)[] = [];
  readonly directory = new Directory();
  readonly scheduler: Scheduler;
  readonly delivery: Delivery;
  readonly #residents: Residents;
  readonly #parking: Parking;
  readonly #report: (report: Report) => void;
  readonly homes: Homes;
  readonly #intakes = new Map<number, Intake>();
  readonly #dirty = new Set<Intake>();
  #flushing = false;
  readonly #ioClients = new Map<string, unknown>();
  readonly #releasing = new Map<number, Set<Mailbox>>();
  /** By partition: messages refused for want of room whose dead letters are not written. */
  readonly #refused: Int32Array;
  readonly #logs = new Map<string, Log>();
  /** Who was seen to send to whom, told to the supervisor once each. */
  readonly #edges = new Set<string>();
  #timers = 0;

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
    this.#refused = new Int32Array(this.homes.partitions);
    const targets: Target[] = plan.actors.map(actor => ({
      name: actor.name,
      slot: actor.slot,
      windowMessages: plan.options.window.messages,
      windowBytes: plan.options.window.bytes,
      maxMessageBytes: actor.options.maxMessageBytes,
    }));
    this.sender = new Sender(
      environment,
      { slot: plan.slot, incarnation: plan.incarnation },
      this.homes,
      targets,
      slot => this.#requestLane(slot),
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
    const ledger = new Ledger(plan.ledger);
    for (const { actor, hash, idHash } of plan.quarantined) this.cells[actor]?.quarantine(hash, idHash);
    this.scheduler = new Scheduler({
      environment,
      options: plan.options,
      cells: this.cells,
      ledger,
      deliver: (cell, mailbox, items, trigger, alone) => {
        if (alone) Atomics.sub(plan.gauges, 1, 1);
        this.#maybeFree(cell, mailbox);
        this.delivery.start(cell, mailbox, items, trigger, alone);
      },
      expire: (cell, mailbox, item) => {
        this.#maybeFree(cell, mailbox);
        this.delivery.expire(cell, mailbox, item);
      },
    });
    this.delivery = new Delivery({
      environment,
      contexts: this,
      sender: this.sender,
      ledger,
      scheduler: this.scheduler,
      bury: (letter, written) => this.bury(letter, written),
      handled: (cell, mailbox) => this.#handled(cell, mailbox),
      freed: (cell, mailbox) => this.#freed(cell, mailbox),
      supervise: (cell, mailbox, error) => this.#supervise(cell, mailbox, error),
      stop: (cell, error) => this.#stop(cell, error),
      recycle: slot => report({ type: 'recycle', reason: 'zombie', ledger: [slot] }),
    });
    this.#residents = new Residents(environment, this, (cell, mailbox) => this.#freed(cell, mailbox));
    this.#parking = new Parking(
      this,
      parkStore,
      (cell, mailbox, item) => this.#put(cell, mailbox, item),
      mailbox => this.#rested(mailbox),
    );
  }

  get slot(): number {
    return this.plan.slot;
  }

  /** Runs the init hooks and makes ready. Rejects with what an init hook threw. */
  async start(): Promise<void> {
    this.#parking.learn(this.homes);
    for (const cell of this.cells) {
      if (!cell) continue;
      await cell.definition.init?.(actorContext(this, cell.name));
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
        await cell.definition.close?.(actorContext(this, cell.name));
      } catch (error) {
        this.logOf(cell.name).error({ err: toWire(error) }, 'close failed');
      }
    }
  }

  /** Lets go of lanes and timers, after close. */
  dispose(): void {
    this.asks.close();
    this.scheduler.close();
    this.flush();
    this.sender.close();
  }

  /** Sends what this turn collected: frames and settlements. */
  flush(): void {
    this.sender.flush();
    for (const intake of this.#dirty) intake.flush();
    this.#dirty.clear();
  }

  // ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Commands that concern lanes, homes and keys. Sources, snapshots and the life cycle are the thread's (entry.ts). */
  command(command: Command): void {
    switch (command.type) {
      case 'lane-out':
        return this.sender.laneOpened(command.slot, command.port);
      case 'lane-in':
        return this.#openIntake(command.slot, command.incarnation, command.port);
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
        return this.#release(command.partition);
      case 'drain':
        this.scheduler.draining = command.draining;
        for (const cell of this.cells)
          if (cell) for (const mailbox of cell.mailboxes()) this.scheduler.consider(cell, mailbox);
        return;
      case 'key':
        return this.#key(command);
    }
  }

  #requestLane(slot: number): void {
    if (slot !== this.plan.slot) return this.#report({ type: 'lane-request', slot });
    const [out, into] = loopback(this.environment);
    this.#openIntake(slot, this.plan.incarnation, into);
    // The sender is about to use the lane it asked for: open it when it has.
    this.environment.endOfTurn(() => this.sender.laneOpened(slot, out));
  }

  #openIntake(slot: number, incarnation: number, port: Port): void {
    this.#intakes.get(slot)?.orphan();
    const intake = new Intake(
      slot,
      incarnation,
      port,
      this.environment,
      dirty => this.#markDirty(dirty),
      (item, actor, homesSeen) => this.#accept(item, actor, homesSeen),
      () => this.scheduler.wake(),
    );
    this.#intakes.set(slot, intake);
  }

  #markDirty(intake: Intake): void {
    this.#dirty.add(intake);
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
    const intake = this.#intakes.get(slot);
    if (!intake) return;
    this.#intakes.delete(slot);
    intake.orphan();
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
          this.#takeOut(cell, mailbox, item);
          dropped = true;
        } else this.environment.probe?.('mailbox.orphans-kept');
      }
      item = next;
    }
    if (dropped && mailbox.count === 0 && mailbox.standing === 'ready') this.scheduler.unline(mailbox);
    if (!dropped) return;
    this.#maybeFree(cell, mailbox);
    this.scheduler.consider(cell, mailbox);
  }

  // ── accepting ────────────────────────────────────────────────────────────────────────────────────────────────────

  #accept(item: Item, actor: number, homesSeen: number): void {
    const cell = this.cells[actor];
    if (!cell || (!cell.fixed && homesSeen !== this.homes.version && this.#isStray(item, homesSeen))) {
      item.origin.settle(item.seq, BOUNCED);
      return;
    }
    if (
      cell.options.onKeyFull === 'park' &&
      !cell.fixed &&
      !this.#parking.knows(item.hash & this.homes.mask, this.homes)
    ) {
      this.#parking.await(() => {
        if (!item.isOrphan) this.#accept(item, actor, homesSeen);
      });
      this.#parking.learn(this.homes);
      return;
    }
    const mailbox = cell.mailboxOf(item.key, item.hash);
    cell.stats.enqueued++;
    if (mailbox.parked > 0) this.#parking.park(cell, mailbox, item);
    else if ((mailbox.refusing === 0 && !cell.isFull(mailbox, item.size)) || this.#makeRoom(cell, mailbox, item))
      this.#put(cell, mailbox, item);
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
    mailbox.push(item, priority);
    cell.stats.depth++;
    cell.stats.depthBytes += item.size;
    this.scheduler.consider(cell, mailbox);
    if (mailbox.count === 1) this.#residents.bound(cell);
  }

  /** What a full mailbox does. True if the arriving item may join it. */
  #makeRoom(cell: Cell, mailbox: Mailbox, item: Item): boolean {
    const { mailbox: bounds, onKeyFull } = cell.options;
    if (bounds.full !== 'Wait') {
      const victim = this.#victim(mailbox, item, bounds.full, bounds.allowLoss);
      if (victim !== null) {
        if (victim !== item) this.#takeOut(cell, mailbox, victim);
        this.drop(cell, victim, bounds.full);
        return victim !== item;
      }
    }
    this.environment.probe?.('mailbox.full-wait');
    if (onKeyFull === 'dead') {
      this.environment.probe?.('key.dead-letters-overflow');
      this.#refuse(mailbox, item, 1);
      this.delivery.reject(
        cell,
        mailbox,
        item,
        new KeymillError(
          'KEY_FULL',
          `a key of ${cell.name} holds ${mailbox.count} messages and ${mailbox.bytes} bytes`,
          { place: { actor: cell.name } },
        ),
        () => this.#refuse(mailbox, item, -1),
      );
      return false;
    }
    if (onKeyFull === 'park' && this.#parking.isAvailable) {
      this.#parking.park(cell, mailbox, item);
      return false;
    }
    if (mailbox !== cell.shared) {
      mailbox.holding ??= new Set();
      if (!mailbox.holding.has(item.origin)) {
        mailbox.holding.add(item.origin);
        item.origin.hold(cell.index, mailbox.key);
      }
    }
    return true; // it is here already and counts against the window of its lane
  }

  /** One more message, or one less, was refused and its dead letter is not written. Its partition stays until it is. */
  #refuse(mailbox: Mailbox, { hash }: Item, change: 1 | -1): void {
    mailbox.refusing += change;
    const partition = hash & this.homes.mask;
    this.#refused[partition]! += change;
    if (this.#refused[partition] === 0) this.#releasedIfResting(partition);
  }

  /** Only items never started may be dropped, and only tells unless the actor allows loss (rule 11). */
  #victim(mailbox: Mailbox, arriving: Item, mode: DropReason | 'Wait', allowLoss: boolean): Item | null {
    const may = (item: Item): boolean => item.calls === 0 && (allowLoss || (item.flags & DROPPABLE) !== 0);
    if (mode === 'DropOldest') {
      for (let item = mailbox.head; item !== null; item = item.next) if (may(item)) return item;
    } else if (mode === 'DropNewest')
      for (let item = mailbox.tail; item !== null; item = item.previous) if (may(item)) return item;
    return may(arriving) ? arriving : null;
  }

  drop(cell: Cell, item: Item, reason: DropReason): void {
    this.environment.probe?.(DROP_PROBES[reason]);
    cell.stats.dropped[reason]++;
    if (item.isAsk)
      item.origin.reply(
        item.seq,
        false,
        new KeymillError('MAILBOX_FULL', `dropped by ${cell.name} (${reason})`, { place: { actor: cell.name } }),
      );
    settleAs(item, DROPPED);
  }

  #takeOut(cell: Cell, mailbox: Mailbox, item: Item): void {
    mailbox.remove(item);
    cell.stats.depth--;
    cell.stats.depthBytes -= item.size;
  }

  #maybeFree(cell: Cell, mailbox: Mailbox): void {
    if (mailbox.parked > 0) this.#parking.drained(cell, mailbox);
    if (cell.hasRoomAgain(mailbox)) this.#freeHolders(cell, mailbox);
  }

  #freeHolders(cell: Cell, mailbox: Mailbox): void {
    if (mailbox.holding === null) return;
    for (const origin of mailbox.holding) origin.free(cell.index, mailbox.key);
    mailbox.holding = null;
  }

  /** A batch is over and its children left: the key may go on, unless its partition is leaving. */
  #freed(cell: Cell, mailbox: Mailbox): void {
    this.#handled(cell, mailbox);
    if (cell.find(mailbox.key, mailbox.hash) !== mailbox) return; // it has left memory
    this.#maybeFree(cell, mailbox);
    this.scheduler.release(cell, mailbox);
  }

  /** A handler is over: if its partition is leaving, this key can go. Children that wait for room leave from here. */
  #handled(cell: Cell, mailbox: Mailbox): void {
    // The one mailbox of an actor across keys may be in the way of several partitions.
    for (const [partition, running] of [...this.#releasing])
      if (running.delete(mailbox)) {
        this.#bounceAll(cell, mailbox, partition);
        this.#releasedIfResting(partition);
      }
  }

  // ── moving partitions (rule 19) ──────────────────────────────────────────────────────────────────────────────────

  /** Bounces what is queued of a partition; batches in flight end first. The state of its keys leaves through onPassivate. */
  #release(partition: number): void {
    const running = new Set<Mailbox>();
    this.#releasing.set(partition, running);
    this.#parking.reconsider();
    for (const cell of this.cells) {
      if (!cell || cell.fixed) continue;
      for (const mailbox of [...cell.mailboxes(partition)])
        if (mailbox.inFlight !== null) running.add(mailbox);
        else this.#bounceAll(cell, mailbox, partition);
    }
    this.#releasedIfResting(partition);
  }

  #rested(mailbox: Mailbox): void {
    this.#releasedIfResting(mailbox.hash & this.homes.mask);
  }

  #releasedIfResting(partition: number): void {
    if (
      this.#releasing.get(partition)?.size === 0 &&
      this.#refused[partition] === 0 &&
      this.#parking.isResting(partition, this.homes.mask)
    )
      this.#released(partition);
  }

  #released(partition: number): void {
    this.environment.probe?.('move.released');
    this.#releasing.delete(partition);
    this.#parking.release(partition, this.homes.mask);
    for (const cell of this.cells)
      if (cell && !cell.fixed && cell.shared === null)
        for (const mailbox of [...cell.mailboxes(partition)]) this.#bounceAll(cell, mailbox, partition); // taken from the park meanwhile
    for (const intake of this.#intakes.values()) intake.released(partition);
    this.flush(); // what was bounced and settled must be on its way before the supervisor opens the new home
    this.#report({ type: 'released', partition });
  }

  #bounceAll(cell: Cell, mailbox: Mailbox, partition: number): void {
    this.scheduler.unline(mailbox);
    for (let item = mailbox.head; item !== null; ) {
      const next: Item | null = item.next;
      if ((item.hash & this.homes.mask) === partition) {
        this.#takeOut(cell, mailbox, item);
        if (!item.origin.alive && (item.flags & (REPLAYABLE | TIMER)) === 0) this.#forward(cell, item);
        else {
          if (item.calls > 0) item.origin.tried?.(item.seq, item.calls, item.attempts);
          item.origin.settle(item.seq, BOUNCED);
        }
      }
      item = next;
    }
    if (mailbox === cell.shared) {
      this.scheduler.consider(cell, mailbox);
      return;
    }
    this.#freeHolders(cell, mailbox);
    if (mailbox.standing === 'idle') cell.idle.remove(mailbox);
    cell.forget(mailbox);
    this.#residents.dismiss(cell, mailbox, () => {});
  }

  /** Its sender died and cannot give it again: it goes to the new home from here. */
  #forward(cell: Cell, item: Item): void {
    this.environment.probe?.('message.forwarded');
    const { key, hash, body, source, epoch, position, path, flags, calls, attempts } = item;
    const extras = { ...(item.extras ?? NO_EXTRAS), calls, attempt: attempts };
    this.sender.send(
      { actor: cell.index, key, hash, body, source, epoch, position, path, flags, extras },
      null,
      0,
      null,
    );
  }

  // ── what handlers can do ─────────────────────────────────────────────────────────────────────────────────────────

  send(batch: Batch, parent: Item, to: ActorRef<never>, message: unknown, options: SendOptions | undefined): void {
    const index = this.directory.indexOf(to);
    const target = this.plan.actors[index]!;
    const { cell } = batch;
    if (cell.options.sends && !cell.options.sends.includes(target.name))
      throw new KeymillError(
        'CONFIG_INVALID',
        `${cell.name} sends to ${target.name}, which its option \`sends\` does not list`,
        { place: { actor: cell.name } },
      );
    if (batch.sends.length >= cell.options.maxSends)
      throw new KeymillError(
        'SEND_TOO_MANY',
        `a batch of ${cell.name} sent more than ${cell.options.maxSends} messages`,
        { place: { actor: cell.name } },
      );
    const key = checkKey(target.definition.key(message), target.name);
    let value: unknown;
    try {
      value = carryWithin(message, target.options.maxMessageBytes);
    } catch (error) {
      if (isKeymillError(error)) error.place.actor = target.name;
      throw error;
    }
    this.#edge(cell.name, target.name);
    batch.sends.push({ parent, message: this.#childOf(parent, index, key, value, options, null) });
  }

  #edge(from: string, to: string): void {
    const edge = `${from}>${to}`;
    if (this.#edges.has(edge)) return;
    this.#edges.add(edge);
    this.#report({ type: 'edge', from, to });
  }

  async ask(
    batch: Batch,
    parent: Item,
    to: ActorRef<never>,
    message: unknown,
    options: SendOptions | undefined,
  ): Promise<unknown> {
    const index = this.directory.indexOf(to);
    const target = this.plan.actors[index]!;
    const key = checkKey(target.definition.key(message), target.name);
    const chain = [...(parent.extras?.chain ?? []), chainLink(batch.cell.name, batch.cell.shared !== null, parent.key)];
    if (chain.includes(chainLink(target.name, target.options.batch.across === 'keys', key)))
      throw new KeymillError('ASK_CYCLE', `${[...chain, chainLink(target.name, false, key)].join(' → ')}`, {
        place: { actor: batch.cell.name },
      });
    this.#edge(batch.cell.name, target.name);
    return this.#ask(
      target.name,
      this.#childOf(parent, index, key, message, options, chain),
      options?.deadlineMs ?? ASK_TIMEOUT_MS,
    );
  }

  /** Asks an I/O actor; `parent` lends its id and deadline. Retries are the caller's. */
  async askIo(index: number, op: unknown, parent: Item | null): Promise<unknown> {
    const target = this.plan.actors[index]!;
    const key = checkKey(target.definition.key(op), target.name);
    const envelope = parent
      ? this.#childOf(parent, index, key, op, undefined, [])
      : {
          actor: index,
          key,
          hash: hashKey(key),
          body: op,
          source: `thread:${this.plan.slot}`,
          epoch: this.plan.incarnation,
          position: this.#timers++,
          path: '',
          flags: REPLAYABLE,
          extras: { ...NO_EXTRAS, ask: true },
        };
    return this.#ask(target.name, envelope, 0);
  }

  #ask(name: string, envelope: Envelope, timeoutMs: number): Promise<unknown> {
    const { token, reply } = this.asks.open(name, timeoutMs);
    try {
      this.sender.send(envelope, this.asks, token, null, error => this.asks.fail(token, error));
    } catch (error) {
      this.asks.fail(token, error);
    }
    return reply;
  }

  #childOf(
    parent: Item,
    actor: number,
    key: Key,
    body: unknown,
    options: SendOptions | undefined,
    chain: readonly string[] | null,
  ): Envelope {
    const child = chain === null ? String(parent.children++) : `ask${parent.asks++}`;
    const inherited = parent.extras;
    let extras: Extras | null = null;
    if (
      chain !== null ||
      options !== undefined ||
      (inherited !== null && (inherited.deadline > 0 || inherited.trace !== null))
    ) {
      const own = options?.deadlineMs === undefined ? 0 : this.environment.clock.wall() + options.deadlineMs;
      const parents = inherited?.deadline ?? 0;
      extras = {
        ...NO_EXTRAS,
        priority: options?.priority ?? -1,
        deadline: own === 0 || parents === 0 ? own + parents : Math.min(own, parents),
        chain,
        ask: chain !== null,
        trace: inherited?.trace ?? null,
      };
    }
    const path = parent.path === '' ? child : `${parent.path}.${child}`;
    return {
      actor,
      key,
      hash: hashKey(key),
      body,
      source: parent.source,
      epoch: parent.epoch,
      position: parent.position,
      path,
      flags: REPLAYABLE,
      extras,
    };
  }

  timer(batch: Batch, name: string, afterMs: number): void {
    const { mailbox, cell } = batch;
    const { key, hash } = batch.items[batch.index]!;
    mailbox.timers++;
    const position = this.#timers++;
    this.scheduler.deadlines.at(this.environment.clock.now() + afterMs, () => {
      mailbox.timers--;
      if (cell.find(key, hash) !== mailbox) return; // its partition has left, and the timer with its state
      const item = new Item(
        name,
        key,
        hash,
        NOWHERE,
        0,
        0,
        `timer:${cell.name}@${this.plan.slot}.${this.plan.incarnation}`,
        0,
        position,
        '',
        TIMER,
        null,
        this.environment.clock.now(),
      );
      this.#put(cell, mailbox, item);
    });
  }

  io(name: string, batch: Batch | null): unknown {
    const full = `io:${name}`;
    const index = this.plan.actors.findIndex(actor => actor.name === full);
    const spec = this.plan.actors[index]?.io;
    if (!spec)
      throw new KeymillError('IO_UNKNOWN', `no I/O actor ${JSON.stringify(name)} in the topology`, {
        place: { actor: batch?.cell.name ?? '' },
      });
    if (batch) {
      this.#edge(batch.cell.name, full);
      const parent = batch.items[batch.index]!;
      return spec.client(op => this.askIo(index, op, parent));
    }
    if (!this.#ioClients.has(name))
      this.#ioClients.set(
        name,
        spec.client(op => this.askIo(index, op, null)),
      );
    return this.#ioClients.get(name);
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

  // ── failing for good ─────────────────────────────────────────────────────────────────────────────────────────────

  /** Writes a dead letter, again and again until it stands; what it belongs to stays unsettled meanwhile (rule 6). */
  bury(letter: DeadLetter, written: () => void): void {
    this.askIo(this.plan.deadLetters, { op: 'write', letter }, null).then(written, (error: unknown) => {
      // What cannot be carried is written down as far as a text can show it: to try again would change nothing.
      if (
        typeof letter.message !== 'string' &&
        (isKeymillError(error, 'MESSAGE_NOT_CARRIABLE') || isKeymillError(error, 'MESSAGE_TOO_LARGE'))
      )
        return this.bury({ ...letter, message: describe(letter.message, 10_000) }, written);
      this.environment.probe?.('dead.write-failed');
      this.logOf(letter.actor).error({ id: letter.id, err: toWire(error) }, 'dead letter not written; tried again');
      this.scheduler.deadlines.at(this.environment.clock.now() + this.plan.options.deadLetters.retryMs, () =>
        this.bury(letter, written),
      );
    });
  }

  #supervise(cell: Cell, mailbox: Mailbox, error: Error): void {
    const { onError, maxRestarts, withinMs } = cell.options.supervise;
    if (onError === 'resume') return;
    if (onError === 'stop') return this.#stop(cell, error);
    if (onError === 'restart') {
      mailbox.state = undefined;
      mailbox.hasState = false;
      cell.stats.restarts++;
      const now = this.environment.clock.now();
      cell.restarts = cell.restarts.filter(at => at > now - withinMs);
      cell.restarts.push(now);
      this.logOf(cell.name).warn({ err: toWire(error) }, 'the state of a key was made anew');
      if (cell.restarts.length <= maxRestarts) return;
    }
    this.#report({ type: 'escalate', actor: cell.name, error: toWire(error) });
  }

  #stop(cell: Cell, error: Error): void {
    if (cell.stopped) return;
    cell.stopped = true;
    for (const mailbox of cell.mailboxes()) this.scheduler.unline(mailbox);
    this.logOf(cell.name).error({ err: toWire(error) }, 'the actor stopped; its messages wait');
    this.#report({ type: 'actor-stopped', actor: cell.name, error: toWire(error) });
  }

  // ── operating ────────────────────────────────────────────────────────────────────────────────────────────────────

  #key(command: Extract<Command, { type: 'key' }>): void {
    const cell = this.cells[command.actor];
    const mailbox = cell?.find(command.key, hashKey(command.key));
    let value: unknown;
    if (cell && command.action === 'pause') {
      const paused = mailbox ?? cell.mailboxOf(command.key, hashKey(command.key));
      paused.paused = true;
      this.scheduler.unline(paused);
      value = inspectKey(cell, paused, this.environment.clock.now());
    } else if (cell && mailbox) {
      if (command.action === 'resume' || command.action === 'retryNow') {
        if (command.action === 'resume') mailbox.paused = false;
        mailbox.notBefore = 0;
        this.scheduler.consider(cell, mailbox);
      } else if (command.action === 'skip' && mailbox.standing !== 'running' && mailbox.head !== null) {
        const item = mailbox.head;
        this.scheduler.unline(mailbox);
        this.#takeOut(cell, mailbox, item);
        mailbox.notBefore = 0;
        this.delivery.reject(
          cell,
          mailbox,
          item,
          new KeymillError('REPLAYED', 'skipped by an operator', { place: { actor: cell.name } }),
        );
        this.#maybeFree(cell, mailbox);
        this.scheduler.consider(cell, mailbox);
      }
      value = inspectKey(cell, mailbox, this.environment.clock.now());
    }
    this.#report({ type: 'answer', ticket: command.ticket, value });
  }

  snapshotActors(): Record<string, ReturnType<typeof snapshotCell>> {
    const now = this.environment.clock.now();
    return Object.fromEntries(
      this.cells.filter(cell => cell !== null).map(cell => [cell.name, snapshotCell(cell, now)]),
    );
  }

  /** For the thread's own troubles. */
  fail(error: unknown): void {
    this.#report({ type: 'failed', error: toWire(asError(error)) as WireError });
  }
}

function chainLink(actor: string, across: boolean, key: Key): string {
  return `${actor}/${across ? '*' : `${typeof key}:${String(key)}`}`;
}
