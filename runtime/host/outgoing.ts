/**
 * What handlers send from this host: children, asks, calls of I/O actors, timers. Ids of children are deterministic
 * (rule 1); asks carry the chain of who waits for them (rule 8).
 */
import type { Environment } from '../environment.ts';
import { isKeymillError, KeymillError } from '../errors.ts';
import type { IoSpec, IoThread } from '../io/contract.ts';
import { ASK, type Envelope, type Extras, NO_EXTRAS, REPLAYABLE, TIMER } from '../lanes/envelope.ts';
import type { Sender } from '../lanes/sender.ts';
import { carryWithin } from '../lanes/value.ts';
import { Arrival, Item, NOWHERE } from '../mailbox/item.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { ActorRef, Key, Log, SendOptions, Settings } from '../topology/define.ts';
import type { Asks } from './asks.ts';
import type { Batch } from './batch.ts';
import type { Cell } from './cell.ts';
import { type ContextHost, checkKey, type Directory } from './context.ts';
import type { Report } from './control.ts';
import type { HostPlan } from './host-plan.ts';
import type { Scheduler } from './scheduler.ts';

const ASK_TIMEOUT_MS = 30_000;

interface OutgoingNeeds {
  readonly plan: HostPlan;
  readonly environment: Environment;
  readonly directory: Directory;
  readonly sender: Sender;
  readonly asks: Asks;
  readonly scheduler: Scheduler;
  report(report: Report): void;
  logOf(actor: string): Log;
  /** Puts an item into a mailbox of this host. */
  put(cell: Cell, mailbox: Mailbox, item: Item): void;
}

export class Outgoing implements ContextHost {
  readonly #needs: OutgoingNeeds;
  readonly #ioClients = new Map<string, unknown>();
  readonly #ioThreads = new Map<string, IoThread>();
  /** Who was seen to send to whom, told to the supervisor once each. */
  readonly #edges = new Set<string>();
  /** Position of the next timer, or ask that has no parent. */
  #next = 0;

  /** Where asks of this thread come from, unless they are children of a message. */
  readonly #source: string;

  constructor(needs: OutgoingNeeds) {
    this.#needs = needs;
    this.#source = `thread:${needs.plan.slot}`;
  }

  get slot(): number {
    return this.#needs.plan.slot;
  }

  get settings(): Settings {
    return this.#needs.plan.settings;
  }

  logOf(actor: string): Log {
    return this.#needs.logOf(actor);
  }

  send(batch: Batch, parent: Item, to: ActorRef<never>, message: unknown, options: SendOptions | undefined): void {
    const index = this.#needs.directory.indexOf(to);
    const target = this.#needs.plan.actors[index]!;
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
    batch.send(parent, this.#childOf(parent, index, key, value, options, null));
  }

  #edge(from: string, to: string): void {
    const edge = `${from}>${to}`;
    if (this.#edges.has(edge)) return;
    this.#edges.add(edge);
    this.#needs.report({ type: 'edge', from, to });
  }

  async ask(
    batch: Batch,
    parent: Item,
    to: ActorRef<never>,
    message: unknown,
    options: SendOptions | undefined,
  ): Promise<unknown> {
    const index = this.#needs.directory.indexOf(to);
    const target = this.#needs.plan.actors[index]!;
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

  /** Asks an I/O actor; `parent` lends its deadline and trace. Retries are the caller's. */
  askIo(index: number, op: unknown, parent: Item | null): Promise<unknown> {
    const target = this.#needs.plan.actors[index]!;
    let key: Key;
    try {
      key = checkKey(target.io!.key(op, this.#needs.plan.slot), target.name);
    } catch (error) {
      return Promise.reject(error);
    }
    const inherited = parent === null ? null : parent.extras;
    // Nothing in it is the parent's, so that asks of many parents have one head in a frame.
    const numbers = this.#needs.sender.numbersOf(index);
    const envelope = {
      actor: index,
      key,
      number: numbers.of(key),
      hash: numbers.hash,
      body: op,
      source: this.#source,
      epoch: this.#needs.plan.incarnation,
      position: this.#next++,
      path: '',
      flags: REPLAYABLE | ASK,
      extras:
        inherited !== null && (inherited.deadline > 0 || inherited.trace !== null)
          ? { ...NO_EXTRAS, deadline: inherited.deadline, trace: inherited.trace }
          : null,
    };
    return this.#ask(target.name, envelope, 0);
  }

  /** Whether this actor says that it uses an I/O actor, or did so here. */
  mayUse(cell: Cell, io: string): boolean {
    return cell.options.uses?.includes(io.slice(3)) === true || this.#edges.has(`${cell.name}>${io}`);
  }

  #ask(name: string, envelope: Envelope, timeoutMs: number): Promise<unknown> {
    const { token, reply } = this.#needs.asks.open(name, timeoutMs);
    try {
      this.#needs.sender.send(envelope, this.#needs.asks, token, null, error => this.#needs.asks.fail(token, error));
    } catch (error) {
      this.#needs.asks.fail(token, error);
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
      const own = options?.deadlineMs === undefined ? 0 : this.#needs.environment.clock.wall() + options.deadlineMs;
      const parents = inherited?.deadline ?? 0;
      extras = {
        ...NO_EXTRAS,
        priority: options?.priority ?? -1,
        deadline: own === 0 || parents === 0 ? own + parents : Math.min(own, parents),
        chain,
        trace: inherited?.trace ?? null,
      };
    }
    const path = parent.path === '' ? child : `${parent.path}.${child}`;
    const numbers = this.#needs.sender.numbersOf(actor);
    return {
      actor,
      key,
      number: numbers.of(key),
      hash: numbers.hash,
      body,
      source: parent.source,
      epoch: parent.epoch,
      position: parent.position,
      path,
      flags: chain === null ? REPLAYABLE : REPLAYABLE | ASK,
      extras,
    };
  }

  timer(batch: Batch, name: string, afterMs: number): void {
    const { mailbox, cell } = batch;
    const { key, hash } = batch.items[batch.index]!;
    mailbox.timers++;
    const position = this.#next++;
    this.#needs.scheduler.deadlines.at(this.#needs.environment.clock.now() + afterMs, () => {
      mailbox.timers--;
      if (cell.find(key, hash) !== mailbox) return; // its partition has left, and the timer with its state
      const item = new Item(
        name,
        key,
        hash,
        NOWHERE,
        0,
        0,
        new Arrival(
          `timer:${cell.name}@${this.#needs.plan.slot}.${this.#needs.plan.incarnation}`,
          0,
          TIMER,
          this.#needs.environment.clock.now(),
        ),
        position,
        '',
        null,
      );
      this.#needs.put(cell, mailbox, item);
    });
  }

  io(name: string, batch: Batch | null): unknown {
    const full = `io:${name}`;
    const index = this.#needs.plan.actors.findIndex(actor => actor.name === full);
    const spec = this.#needs.plan.actors[index]?.io;
    if (!spec)
      throw new KeymillError('IO_UNKNOWN', `no I/O actor ${JSON.stringify(name)} in the topology`, {
        place: { actor: batch?.cell.name ?? '' },
      });
    if (batch) {
      this.#edge(batch.cell.name, full);
      const parent = batch.items[batch.index]!;
      return spec.client(op => this.askIo(index, op, parent), this.#ioThread(full, index, spec));
    }
    if (!this.#ioClients.has(name)) {
      const thread = this.#ioThread(full, index, spec);
      this.#ioClients.set(name, spec.client(thread.ask, thread));
    }
    return this.#ioClients.get(name);
  }

  #ioThread(full: string, index: number, { options }: IoSpec): IoThread {
    let thread = this.#ioThreads.get(full);
    if (!thread) {
      const { environment } = this.#needs;
      thread = { options, environment, log: this.logOf(full), ask: op => this.askIo(index, op, null) };
      this.#ioThreads.set(full, thread);
    }
    return thread;
  }
}

function chainLink(actor: string, across: boolean, key: Key): string {
  return `${actor}/${across ? '*' : `${typeof key}:${String(key)}`}`;
}
