/**
 * One host with the actors a test gives it, its lanes looped back to itself, under a virtual clock. A test pushes
 * messages as a source or a tell would and sees what becomes of them; nothing runs until it lets time pass.
 */
import type { DeadLetter } from '../../runtime/delivery/dead-letter.ts';
import type { Transition } from '../../runtime/environment.ts';
import type { Command, Quarantined, Report, Suspect } from '../../runtime/host/control.ts';
import { Host } from '../../runtime/host/host.ts';
import type { ActorPlan, SourceFacts } from '../../runtime/host/host-plan.ts';
import type { KeyReport } from '../../runtime/host/inspect.ts';
import { IoActor } from '../../runtime/host/io-actor.ts';
import { Ledger } from '../../runtime/host/ledger.ts';
import type { ParkStore } from '../../runtime/host/parking.ts';
import type { IoSpec } from '../../runtime/io/contract.ts';
import { ASK, DROPPABLE, type Envelope, NO_EXTRAS } from '../../runtime/lanes/envelope.ts';
import { Homes } from '../../runtime/lanes/homes.ts';
import { DEAD, DONE, DROPPED, type Outcome, type Owner } from '../../runtime/lanes/port.ts';
import type { Actor, ActorDefinition, Key, Log } from '../../runtime/topology/define.ts';
import { actorSchema, type RuntimeOptionsInput, runtimeSchema } from '../../runtime/topology/options.ts';
import { type VirtualEnvironment, virtualEnvironment } from './virtual-clock.ts';

// biome-ignore lint/suspicious/noExplicitAny: actors of all message types meet here
type Definition = ActorDefinition<any, any, any>;

export interface OneHostOptions {
  /** By name: a definition, whose `options` count, or an actor. */
  actors: Record<string, Definition | Actor>;
  runtime?: RuntimeOptionsInput;
  /** I/O actors that live on this very thread. */
  io?: Record<string, IoSpec>;
  sources?: SourceFacts;
  park?: ParkStore;
  suspects?: readonly Suspect[];
  quarantined?: readonly Quarantined[];
  ledgerSlots?: number;
  seed?: number;
}

export interface PushOptions {
  key?: Key;
  flags?: number;
  priority?: number;
  /** From now, in ms. */
  deadlineMs?: number;
  source?: string;
  position?: number;
  chain?: readonly string[];
}

const NAMES = { [DONE]: 'done', [DEAD]: 'dead', [DROPPED]: 'dropped' } as const;
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

export const SLOT = 1;

export class OneHost implements Owner {
  readonly environment: VirtualEnvironment;
  readonly host: Host;
  /** Dead letters, as they were written. */
  readonly letters: DeadLetter[] = [];
  /** While set, the store of dead letters refuses. */
  lettersDown: Error | null = null;
  readonly reports: Report[] = [];
  readonly probes: Transition[] = [];
  onProbe: ((transition: Transition) => void) | null = null;
  /** Numbers of settled messages in the order of settling, with how. */
  readonly settledInOrder: [n: number, outcome: (typeof NAMES)[Outcome]][] = [];
  readonly homes: Homes;
  readonly #ios: IoActor[];
  #position = 0;
  #ticket = 0;

  constructor(options: OneHostOptions) {
    this.environment = Object.assign(virtualEnvironment(options.seed), {
      probe: (transition: Transition) => {
        this.probes.push(transition);
        this.onProbe?.(transition);
      },
    });
    const runtime = runtimeSchema.parse({ partitions: 8, ...options.runtime });
    this.homes = Homes.create(runtime.partitions, [SLOT]);
    const actors: ActorPlan[] = Object.entries(options.actors).map(([name, given]) => {
      const definition = 'definition' in given ? given.definition : given;
      return { name, definition, options: actorSchema.parse(definition.options ?? {}), slot: null, io: null };
    });
    this.#ios = Object.entries({ ...options.io, 'dead-letters': this.#letterStore() }).map(([name, spec]) => {
      const io = new IoActor(
        name,
        spec,
        { name, dataDir: '', first: true, reads: false, environment: this.environment, log: SILENT },
        () => {},
      );
      const its = actorSchema.parse({ batch: { flushMs: 0 }, timeoutMs: 0, retry: { attempts: 1 } });
      actors.push({ name: `io:${name}`, definition: io.definition, options: its, slot: SLOT, io: spec });
      return io;
    });
    this.host = new Host(
      {
        slot: SLOT,
        incarnation: 1,
        kind: 'host',
        actors,
        options: runtime,
        settings: {},
        sources: options.sources ?? { lowOf: () => undefined, isOrdered: () => false },
        homes: this.homes.words,
        ledger: Ledger.create(options.ledgerSlots ?? 64),
        gauges: new Int32Array(4),
        suspects: options.suspects ?? [],
        quarantined: options.quarantined ?? [],
        deadLetters: actors.findIndex(actor => actor.name === 'io:dead-letters'),
      },
      this.environment,
      report => this.reports.push(report),
      options.park ?? null,
    );
  }

  async open(): Promise<this> {
    for (const io of this.#ios) await io.open(this.environment);
    const started = this.host.start();
    started.catch(() => undefined); // awaited below
    await this.settle(); // what it asks its I/O actors for
    await started;
    return this;
  }

  #letterStore(): IoSpec {
    return {
      kind: 'dead-letters',
      policy: {},
      options: {},
      check: () => [],
      key: () => 'dead-letters',
      open: () => ({
        handleBatch: asks =>
          asks.map(ask => {
            if (this.lettersDown) return { error: this.lettersDown };
            this.letters.push((ask as { letter: DeadLetter }).letter);
            return { value: undefined };
          }),
        close() {},
      }),
      client: ask => ask,
    };
  }

  /** Sends a message as a source would, or as a tell with `flags: DROPPABLE`. Returns its number. */
  push(actor: string, body: unknown, options: PushOptions = {}): number {
    const n = options.position ?? this.#position++;
    this.host.sender.send(this.#envelope(actor, body, options, n, false), this, n, null);
    return n;
  }

  /** Sends a message as a tell: a drop mode may drop it. */
  tell(actor: string, body: unknown, options: PushOptions = {}): number {
    return this.push(actor, body, { flags: DROPPABLE, source: 'tell', ...options });
  }

  /** Asks as the main thread would. */
  ask(actor: string, body: unknown, options: PushOptions = {}): Promise<unknown> {
    const { token, reply } = this.host.asks.open(actor, 0);
    reply.catch(() => undefined);
    this.host.sender.send(
      this.#envelope(actor, body, { source: 'ask', flags: DROPPABLE, ...options }, this.#position++, true),
      this.host.asks,
      token,
      null,
    );
    return reply;
  }

  #envelope(
    actor: string,
    body: unknown,
    { key, flags = 0, priority, deadlineMs, source = 'src', chain }: PushOptions,
    position: number,
    ask: boolean,
  ): Envelope {
    const index = this.host.directory.indexOf(actor);
    const its = key ?? this.host.plan.actors[index]!.definition.key(body);
    const isRare = chain !== undefined || priority !== undefined || deadlineMs !== undefined;
    const deadline = deadlineMs === undefined ? 0 : this.environment.clock.wall() + deadlineMs;
    const numbers = this.host.sender.numbersOf(index);
    return {
      actor: index,
      key: its,
      number: numbers.of(its),
      hash: numbers.hash,
      body,
      source,
      epoch: 0,
      position,
      path: '',
      flags: ask ? flags | ASK : flags,
      extras: isRare ? { ...NO_EXTRAS, chain: chain ?? null, priority: priority ?? -1, deadline } : null,
    };
  }

  settled(token: number, outcome: Outcome): void {
    this.settledInOrder.push([token, NAMES[outcome]]);
  }

  /** How each message settled, by its number; what is missing is unsettled. */
  get outcomes(): Record<number, string> {
    return Object.fromEntries(this.settledInOrder);
  }

  /** Lets everything run that needs no time. */
  settle(): Promise<void> {
    return this.environment.settle();
  }

  advance(ms: number): Promise<void> {
    return this.environment.advance(ms);
  }

  stats(actor: string) {
    return this.host.snapshotActors()[actor]!;
  }

  command(command: Command): void {
    this.host.command(command);
  }

  /** Commands one key as an operator does. */
  key(actor: string, key: Key, action: 'pause' | 'resume' | 'inspect' | 'skip' | 'retryNow'): KeyReport | undefined {
    const ticket = ++this.#ticket;
    this.command({ type: 'key', ticket, actor: this.host.directory.indexOf(actor), key, action });
    const answer = this.reports.find(report => report.type === 'answer' && report.ticket === ticket);
    return (answer as { value: KeyReport | undefined }).value;
  }

  report<T extends Report['type']>(type: T): Extract<Report, { type: T }>[] {
    return this.reports.filter((report): report is Extract<Report, { type: T }> => report.type === type);
  }
}

export function oneHost(options: OneHostOptions): Promise<OneHost> {
  return new OneHost(options).open();
}
