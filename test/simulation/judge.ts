/**
 * The oracle: sees every call of a handler, every settlement and every death from outside the engine, and says which
 * promise was broken. Nothing here asks the engine what it thinks it did.
 */
import type { Message } from './message.ts';

interface Record {
  message: Message;
  parent: Record | null;
  /** A root message whose sender was told that it is accepted. */
  accepted: boolean;
  /** A child: the threads in which a call of its parent succeeded, which sends it. */
  sentBy: { alive: boolean }[];
  begun: number;
  /** Handler calls in flight, by the thread they run in. */
  running: { alive: boolean } | null;
  succeeded: boolean;
  dead: string | null;
  dropped: boolean;
  parked: boolean;
  /** Some call of it, or of a batch it was in, failed or timed out. */
  failed: boolean;
  /** Its sender learned the outcome. */
  settled: boolean;
  /** Deaths of its thread while it was the only one that ran there. */
  deathsAlone: number;
  /** What overtook it, if it was not dropped; and the deaths until then. With a thread the news of a drop dies. */
  presumedDropped: { by: string; deaths: number } | null;
  /** Given by a sender that died and could not give it again. */
  forsaken: boolean;
  /** Where it lay when that happened: while this thread lives it must not be lost. */
  refuge: { alive: boolean } | null;
  /** The id that the engine gave it. */
  engineId: string | null;
  /** Step of its last failed call. */
  failedAt: number;
}

export class Violation extends Error {
  override readonly name = 'Violation';
}

export class Judge {
  readonly #mortal: (message: Message) => boolean;
  readonly #droppable: (message: Message) => boolean;
  readonly #pausesKey: (actor: string) => boolean;
  readonly #isDurable: (actor: string) => boolean;

  /** `mortal`: messages whose script may kill them. While such a one's dead letter is being written, its key goes on. `droppable`: what its actor may refuse for want of room. `pausesKey`: whether a death pauses a key of this actor. */
  constructor(
    mortal: (message: Message) => boolean,
    droppable: (message: Message) => boolean,
    pausesKey: (actor: string) => boolean,
    isDurable: (actor: string) => boolean,
  ) {
    this.#isDurable = isDurable;
    this.#mortal = mortal;
    this.#droppable = droppable;
    this.#pausesKey = pausesKey;
  }

  readonly records = new Map<string, Record>();
  /** Messages of one sender to one key, in order; the first `over` of them are over. */
  readonly #streams = new Map<string, { order: Record[]; over: number }>();
  readonly #running = new Set<Record>();
  /** Threads that died, for whatever reason. */
  deaths = 0;
  moves = 0;
  stalls = 0;
  /** Of the scheduler, now. */
  step = 0;
  /** By actor and key: the failure that a message died of, and until when an operator had it resumed. */
  readonly #pausedSince = new Map<string, number>();
  readonly #resumedAt = new Map<string, number>();
  quarantineAfter = Number.POSITIVE_INFINITY;
  repeats = 0;
  readonly trace: string[] = [];

  /** The first promise that was broken: also when a handler, and so the engine, caught it. */
  violation: Violation | null = null;

  #broken(text: string): Violation {
    const violation = new Violation(text);
    this.violation ??= violation;
    return violation;
  }

  note(text: string): void {
    this.trace.push(text);
    if (this.trace.length > 20_000) this.trace.shift();
  }

  add(message: Message, parent: Record | null = null): void {
    const record: Record = {
      message,
      parent,
      accepted: false,
      sentBy: [],
      begun: 0,
      running: null,
      succeeded: false,
      dead: null,
      dropped: false,
      parked: false,
      failed: false,
      settled: false,
      deathsAlone: 0,
      presumedDropped: null,
      forsaken: false,
      refuge: null,
      engineId: null,
      failedAt: 0,
    };
    this.records.set(message.id, record);
    const stream = `${message.stream}>${message.actor}/${message.key}`;
    const { order } = this.#streams.get(stream) ?? { order: [] as Record[] };
    this.#streams.set(stream, { order, over: 0 });
    order.push(record);
    if (order.length > 1 && order.at(-2)!.message.n > message.n) order.sort((a, b) => a.message.n - b.message.n);
    for (const child of message.children) this.add(child, record);
  }

  of(id: string): Record {
    const record = this.records.get(id);
    if (!record) throw this.#broken(`a message that nobody gave: ${id}`);
    return record;
  }

  accepted(id: string): void {
    this.of(id).accepted = true;
  }

  /** A handler call begins with these messages. Returns the number of this call for the first of them. */
  begin(ids: readonly string[], node: { alive: boolean; name: string }, engineIds: readonly string[]): void {
    this.note(`${node.name} begins ${ids.join(' ')}`);
    ids.forEach((id, index) => {
      const record = this.of(id);
      if (rootOf(record).forsaken) return; // a new life of its source gives it under a new epoch
      record.engineId ??= engineIds[index]!;
      if (record.engineId !== engineIds[index])
        throw this.#broken(`${id} came as ${record.engineId}, and then as ${engineIds[index]}`);
    });
    const batch = new Set(ids);
    const twice = ids.find((id, index) => ids.indexOf(id) < index);
    if (twice !== undefined && !this.#mayRepeat(this.of(twice)))
      throw this.#broken(`a batch holds a message twice: ${ids.join(' ')}`);
    for (const id of batch) {
      const record = this.of(id);
      const { message } = record;
      this.#mustNotBePaused(message);
      if (!record.accepted && record.sentBy.length === 0)
        throw this.#broken(`${id} is handled, though its sender has not sent it`);
      if (record.dead !== null && !this.#mayRepeat(record))
        throw this.#broken(`${id} is handled again after its dead letter was written`);
      if (record.dropped && !this.#mayRepeat(record)) throw this.#broken(`${id} is handled though it was dropped`);
      if (record.settled && !record.parked && !record.forsaken)
        throw this.#broken(`${id} is handled again after its sender learned that it is settled`);
      for (const other of this.#unfinished(message)) {
        if (other.message.n >= message.n) break;
        if (record.begun > 0 || !this.#isOnItsWay(other) || other.forsaken || batch.has(other.message.id)) continue;
        if (this.#cameFromElsewhere(record, other)) continue;
        // It may have been dropped, and the news is on its way. Then it must turn out so.
        if ((other.begun === 0 || this.deaths > 0) && this.#droppable(other.message))
          other.presumedDropped = { by: id, deaths: this.deaths };
        else throw this.#broken(`order: ${id} is handled before ${other.message.id} is over`);
      }
      for (const other of this.#ofKey(message))
        if (other.running?.alive && !batch.has(other.message.id))
          throw this.#broken(
            `two handlers of one key at once: ${other.message.id} still runs, ${id} begins ${JSON.stringify(other.message)}`,
          );
      if (record.presumedDropped?.deaths === this.deaths && record.begun === 0)
        throw this.#broken(`order: ${record.presumedDropped.by} was handled before ${id}`);
      if (record.running?.alive) throw this.#broken(`${id} is handled twice at once`);
      if (record.begun > 0) {
        this.repeats++;
        if (!record.failed && !this.#mayRepeat(record))
          throw this.#broken(`${id} is handled again without a failure, time-out or death`);
      }
      record.begun++;
      record.running = node;
      this.#running.add(record);
    }
  }

  succeeded(ids: readonly string[], node: { alive: boolean }): void {
    this.note(`  succeeded ${ids.join(' ')}`);
    for (const id of ids) {
      const record = this.of(id);
      record.running = null;
      this.#running.delete(record);
      record.succeeded = true;
      for (const child of record.message.children) this.of(child.id).sentBy.push(node);
    }
  }

  /** The call ended without success for these; `own`: it was their own failure, or nobody knows whose. */
  failed(ids: readonly string[]): void {
    this.note(`  failed ${ids.join(' ')}`);
    for (const id of ids) {
      const record = this.of(id);
      record.running = null;
      this.#running.delete(record);
      record.failed = true;
      record.failedAt = this.step;
    }
  }

  /** A thread is about to die. */
  died(node: { alive: boolean }, involved: boolean): void {
    if (!involved) return; // an uninvolved kill counts against nobody (rule 10)
    const there = [...this.records.values()].filter(record => record.running === node);
    if (there.length === 1) there[0]!.deathsAlone++;
  }

  dead(id: string, code: string): void {
    const record = this.of(id);
    if (record.dead !== null) return;
    record.dead = code;
    const { actor, key } = record.message;
    if (record.failedAt > 0 && this.#pausesKey(actor)) this.#pausedSince.set(`${actor}/${key}`, record.failedAt);
  }

  /** The sender of a root message was told its outcome. */
  settled(id: string, outcome: 'done' | 'dropped'): void {
    const record = this.of(id);
    if (outcome === 'dropped') {
      if (record.begun > 0 && this.deaths === 0) throw this.#broken(`${id} was dropped after it had been started`);
      record.dropped = true;
    } else if (!record.forsaken) this.#mustBeOver(record, id);
    record.settled = true;
  }

  /** An operator resumes a key; and it is answered. */
  resuming(actor: string, key: string): void {
    this.#resumedAt.set(`${actor}/${key}`, Number.POSITIVE_INFINITY);
  }

  resumed(actor: string, key: string): void {
    this.#resumedAt.set(`${actor}/${key}`, this.step);
  }

  /** onDead: parkKey. After a death of a thread or a move the key is somewhere else, and not paused. */
  #mustNotBePaused({ id, actor, key }: Message): void {
    const since = this.#pausedSince.get(`${actor}/${key}`);
    if (since === undefined || this.deaths > 0 || this.moves > 0) return;
    if (since > (this.#resumedAt.get(`${actor}/${key}`) ?? 0))
      throw this.#broken(`${id} is handled though a death paused its key, and nobody resumed it`);
  }

  /** Its source died and cannot give it again. */
  forsake(id: string, refuge: { alive: boolean } | null): void {
    const record = this.of(id);
    if (refuge !== null && record.refuge === null && !record.forsaken) record.refuge = refuge;
    record.forsaken = true;
  }

  /** Whether it must come to an end of its own. A home that lets go of it may not know yet that nobody takes it back. */
  #mustEnd(record: Record): boolean {
    return record.accepted && (!record.forsaken || (record.refuge?.alive === true && this.moves === 0));
  }

  /** Everything that must end has. */
  isAllOver(): boolean {
    for (const record of this.records.values())
      if (this.#mustEnd(record) && (record.parked ? !record.succeeded && record.dead === null : !this.#isOver(record)))
        return false;
    return true;
  }

  /** The drain said that nothing was abandoned: then nothing that began is unfinished, but what a `reborn` source has yet to give again. */
  drained(reborn: boolean): void {
    for (const record of this.records.values())
      if (
        record.parent === null &&
        record.begun > 0 &&
        this.#mustEnd(record) &&
        !(reborn && record.message.id.startsWith('source'))
      )
        this.#mustBeOver(record, record.message.id);
  }

  /** It, or what it came from, was given by a source that died and cannot give it again. */
  isForsaken(id: string): boolean {
    return rootOf(this.of(id)).forsaken;
  }

  /** Done, and all it came from too: its sender was told so, or will be. */
  isDone(id: string): boolean {
    for (let record: Record | null = this.of(id); record !== null; record = record.parent)
      if (!record.succeeded || record.dead !== null || record.dropped) return false;
    return true;
  }

  isOver(id: string): boolean {
    return this.#isOver(this.of(id));
  }

  #mustBeOver(record: Record, root: string): void {
    const { message } = record;
    if (record.dead !== null || record.parked || record.dropped) return;
    if (!record.succeeded)
      throw this.#broken(`${root} was settled, but ${message.id} is neither done nor dead nor parked`);
    if (record.running?.alive) throw this.#broken(`${root} was settled while ${message.id} runs`);
    for (const child of message.children) this.#mustBeOver(this.of(child.id), root);
  }

  /** Everything given must have come to its end. */
  finish(mayDie: (message: Message, code: string, deathsAlone: number) => boolean): void {
    for (const record of this.records.values()) {
      const { message } = record;
      if (record.dead !== null && !mayDie(message, record.dead, record.deathsAlone))
        throw this.#broken(`${message.id} is dead (${record.dead}), though nothing of it should kill it`);
      if (!this.#mustEnd(record)) continue;
      if (record.presumedDropped?.deaths === this.deaths && !record.dropped && record.dead === null)
        throw this.#broken(`order: ${record.presumedDropped.by} was handled before ${message.id}`);
      if (!this.#isOver(record))
        throw this.#broken(`lost: ${message.id} was accepted and is neither done nor dead nor dropped`);
      if (!record.forsaken) this.#mustBeOver(record, message.id);
      if (message.poison && record.begun > 0 && record.dead === null && !record.dropped)
        throw this.#broken(`${message.id} kills its host whenever it runs, but was not quarantined (${record.dead})`);
    }
  }

  /**
   * A move waits a second for the children of what the old home handled (Sender.excuseLater). Where a thread stood still
   * for longer, or died and had them sent again, children of the new home may come first.
   */
  #cameFromElsewhere(record: Record, other: Record): boolean {
    if (other.parent === null || this.moves === 0 || (this.deaths === 0 && this.stalls === 0)) return false;
    return !record.sentBy.some(node => other.sentBy.includes(node));
  }

  /**
   * A thread died; or a partition moved, which leaves what is parked of it to its new home, half done or not, and what
   * waits for its children before its state is written.
   */
  #mayRepeat(record: Record): boolean {
    return this.deaths > 0 || (this.moves > 0 && (wasParked(record) || cameOfDurable(record, this.#isDurable)));
  }

  /** Accepted, not over, and its sender lives: nothing of its stream and key may overtake it. */
  #isOnItsWay(record: Record): boolean {
    if (record.begun > 0 && (this.#mortal(record.message) || record.deathsAlone >= this.quarantineAfter)) return false;
    // A parent that was handled by a thread that died and was refused when it came again: its dead letter holds them all.
    // Or one that ran twice, since its sender died: the first run may have died, and its dead letter be on its way, while
    // the second succeeds behind messages that the first let pass.
    for (let parent = record.parent; parent !== null; parent = parent.parent)
      if (
        parent.dead !== null ||
        parent.dropped ||
        (parent.begun > 1 && this.deaths > 0 && this.#mortal(parent.message))
      )
        return false;
    return (record.accepted || record.sentBy.some(node => node.alive)) && !this.#isOver(record);
  }

  #isOver(record: Record): boolean {
    return record.succeeded || record.dead !== null || record.dropped || record.parked;
  }

  *#unfinished({ stream, actor, key }: Message): Iterable<Record> {
    const of = this.#streams.get(`${stream}>${actor}/${key}`)!;
    while (of.over < of.order.length && this.#isOver(of.order[of.over]!)) of.over++;
    for (let i = of.over; i < of.order.length; i++) yield of.order[i]!;
  }

  *#ofKey(message: Message): Iterable<Record> {
    for (const record of this.#running)
      if (!record.running?.alive) this.#running.delete(record);
      else if (record.message.actor === message.actor && record.message.key === message.key) yield record;
  }
}

/** It, or what it came from. */
function cameOfDurable(record: Record | null, isDurable: (actor: string) => boolean): boolean {
  return record !== null && (isDurable(record.message.actor) || cameOfDurable(record.parent, isDurable));
}

/** It, or what it came from. */
function wasParked(record: Record | null): boolean {
  return record !== null && (record.parked || wasParked(record.parent));
}

function rootOf(record: Record): Record {
  let root = record;
  while (root.parent !== null) root = root.parent;
  return root;
}
