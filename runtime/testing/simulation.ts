/**
 * A whole runtime in one thread under a seed: the production supervisor, hosts, lanes and sources, with threads, ports
 * and time simulated. For keymill's own simulation and for tests of users' actors: push messages, wait for settlements
 * in virtual time, crash hosts at will, and replay a seed exactly.
 *
 * ```ts
 * const simulation = new Simulation({ actors: { counter }, seed: 7 });
 * await simulation.start();
 * await simulation.tell('counter', { id: 1 });
 * simulation.crashHost();
 * await simulation.settle();
 * ```
 */

import type { DeadLetter } from '../delivery/dead-letter.ts';
import { ParkFences } from '../delivery/park.ts';
import type { Environment, Transition } from '../environment.ts';
import { KeymillError } from '../errors.ts';
import type { Claim, Parked } from '../host/parking.ts';
import type { IoSpec } from '../io/contract.ts';
import { Supervisor } from '../supervisor/supervisor.ts';
import { type AskOptions, type TellOptions, Tells } from '../supervisor/tells.ts';
import type { Actor, BatchContext, Key, Log, SourceHalf } from '../topology/define.ts';
import {
  type ActorOptionsInput,
  actorSchema,
  type RuntimeOptionsInput,
  runtimeSchema,
  type SourceOptionsInput,
  sourceSchema,
} from '../topology/options.ts';
import { DEAD_LETTERS, PARK, type Plan, type PlannedActor } from '../topology/plan.ts';
import { type Node, Scheduler } from './scheduler.ts';
import { SimThreads } from './sim-threads.ts';

export interface SimulatedSource {
  to: string | readonly string[];
  /** Made once per reading thread. */
  half: () => SourceHalf;
  options?: SourceOptionsInput;
}

export interface SimulationOptions {
  actors: Record<string, Actor | { use: Actor; options?: ActorOptionsInput }>;
  sources?: Record<string, SimulatedSource>;
  io?: Record<string, IoSpec>;
  options?: RuntimeOptionsInput;
  hosts?: number;
  seed?: number;
  /** Counts the state transitions reached, over several simulations if given. */
  transitions?: Map<Transition, number>;
  log?: (level: string, fields: Record<string, unknown>, text: string) => void;
}

/** More events than any bounded work needs: reaching it means that something goes on for ever. */
const MAX_STEPS = 200_000;

/** Steps between two turns of the real event loop. */
const TURN_STEPS = 256;

export class Simulation {
  readonly seed: number;
  readonly scheduler: Scheduler;
  readonly supervisor: Supervisor;
  readonly threads: SimThreads;
  readonly tells: Tells;
  /** Dead letters written so far, by id. They outlive threads, as a file would. */
  readonly deadLetters = new Map<string, DeadLetter>();
  /** While true, dead letters and parked messages cannot be written. */
  storeBroken = false;
  readonly environment: Environment;
  failure: Error | null = null;
  readonly #parked = new Map<string, { actor: string; key: Key; hash: number; messages: Map<number, Parked> }>();
  readonly #fences = new ParkFences();
  #parkSeq = 1;

  constructor(given: SimulationOptions) {
    this.seed = given.seed ?? 1;
    this.scheduler = new Scheduler(this.seed, given.transitions);
    const node: Node = { name: 'main', alive: true, stalledUntil: 0 };
    this.environment = this.scheduler.environment(node);
    const hosts = given.hosts ?? 2;
    const plan = this.#plan(given);
    this.threads = new SimThreads(this.scheduler, plan, node);
    const write = (level: string) => (fields: Record<string, unknown>, text: string) =>
      given.log?.(level, fields, text);
    const log: Log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
    this.supervisor = new Supervisor(
      {
        plan,
        module: 'simulated',
        overrides: {},
        cores: hosts,
        hosts,
        dataDir: '',
        once: false,
        positions: new Float64Array(Math.max(1, plan.sources.length)),
        logLevel: 'info',
      },
      this.environment,
      this.threads,
      {
        log,
        record: report => given.log?.(report.level, report.fields, report.text),
        fatal: error => {
          this.failure = error;
        },
        quiet: () => undefined,
      },
    );
    this.tells = new Tells(this.supervisor.main, this.environment);
  }

  /** Starts all threads and the sources. */
  async start(): Promise<void> {
    let started = false;
    this.supervisor.start().then(
      () => {
        started = true;
      },
      (error: Error) => {
        this.failure = error;
      },
    );
    await this.until(() => started || this.failure !== null);
    if (this.failure) throw this.failure;
    this.tells.open = true;
  }

  /** Runs one event, and whatever promises it resolved. False when nothing is left to happen. */
  async step(): Promise<boolean> {
    const more = this.scheduler.step();
    // A tick asked for by a promise's continuation comes when all promises have had their turn; a turn of the event
    // loop would cost a system call a step, and is due now and then for what is real: signals, files.
    const isTurn = !more || this.scheduler.steps % TURN_STEPS === 0;
    await new Promise<void>(resolve => (isTurn ? setImmediate(resolve) : process.nextTick(resolve)));
    return more;
  }

  /** Runs events until `holds`. Throws when nothing is left to happen, or too much did. */
  async until(holds: () => boolean, what = 'the awaited state'): Promise<void> {
    const limit = this.scheduler.steps + MAX_STEPS;
    while (!holds()) {
      if (!(await this.step()))
        throw new Error(
          `seed ${this.seed}: nothing is left to happen, and ${what} was not reached (step ${this.scheduler.steps}, ${this.scheduler.now} ms)`,
        );
      if (this.scheduler.steps > limit)
        throw new Error(
          `seed ${this.seed}: ${what} was not reached in ${MAX_STEPS} steps (${Math.round(this.scheduler.now)} ms)`,
        );
    }
  }

  /** Runs events for this many virtual milliseconds. */
  async advance(ms: number): Promise<void> {
    const end = this.scheduler.now + ms;
    let over = false;
    this.environment.clock.after(ms, () => {
      over = true;
    });
    await this.until(() => over || this.scheduler.now >= end, `${ms} ms`);
  }

  /** Runs until the sources have ended and everything given is settled. */
  async settle(): Promise<void> {
    await this.until(() => this.supervisor.isSettled || this.failure !== null, 'settlement of everything');
    if (this.failure) throw this.failure;
  }

  async tell(actor: string, message: unknown, options?: TellOptions): Promise<void> {
    await this.#run(this.tells.tell(actor, message, options));
  }

  async ask<R>(actor: string, message: unknown, options?: AskOptions): Promise<R> {
    return (await this.#run(this.tells.ask(actor, message, options))) as R;
  }

  /** Drains and closes; true when nothing was abandoned. */
  async stop(graceMs = 60_000): Promise<boolean> {
    this.tells.open = false;
    const settled = await this.#run(this.supervisor.drain(graceMs));
    await this.#run(this.supervisor.close(10_000));
    return settled;
  }

  get hostSlots(): number[] {
    return [...this.threads.living.keys()].filter(slot => slot < this.supervisor.firstIoSlot);
  }

  /** A host dies by itself: what was in flight is suspected. Default: any that lives. */
  crashHost(slot?: number): void {
    const hosts = this.hostSlots;
    if (hosts.length > 0) this.threads.crash(slot ?? hosts[this.scheduler.pick(hosts.length)]!, 'crashed');
  }

  /** A host is killed from outside, as by chaos or an operator: nobody is to blame. */
  killHost(slot?: number): void {
    const hosts = this.hostSlots;
    if (hosts.length > 0) this.supervisor.kill(slot ?? hosts[this.scheduler.pick(hosts.length)]!, 'chaos');
  }

  crashIo(): void {
    this.threads.crash(this.supervisor.firstIoSlot, 'crashed');
  }

  /** The event loop of a host stands still for a while. */
  stallHost(ms: number, slot?: number): void {
    const hosts = this.hostSlots;
    const thread = this.threads.living.get(slot ?? hosts[this.scheduler.pick(Math.max(1, hosts.length))] ?? -1);
    if (thread) thread.node.stalledUntil = this.scheduler.now + ms;
  }

  /** Moves a partition to another host (rule 19). */
  movePartition(partition: number, to: number): boolean {
    return this.supervisor.moves.start(partition, to, slot => this.supervisor.slots[slot]!.isReachable);
  }

  /** Resolves after virtual time, unless the thread that called it dies: for handlers. */
  sleep(ms: number): Promise<void> {
    const thread = [...this.threads.living.values()].find(one => one.node === this.scheduler.current);
    const environment = thread?.thread.host.environment ?? this.environment;
    return new Promise(resolve => environment.clock.after(ms, resolve));
  }

  /** The thread that runs now died while it ran: what it still does does not count. */
  get isGhost(): boolean {
    return this.scheduler.current !== null && !this.scheduler.current.alive;
  }

  async #run<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    promise.then(
      () => {
        over = true;
      },
      () => {
        over = true;
      },
    );
    await new Promise<void>(resolve => setImmediate(resolve));
    await this.until(() => over || this.failure !== null, 'the answer');
    if (!over) throw this.failure;
    return promise;
  }

  // ── the plan, with stores in memory ──────────────────────────────────────────────────────────────────────────────

  #plan(given: SimulationOptions): Plan {
    const actors: PlannedActor[] = Object.entries(given.actors).map(([name, entry]) => {
      const actor = 'kind' in entry ? entry : entry.use;
      const own = 'kind' in entry ? {} : (entry.options ?? {});
      return {
        name,
        definition: actor.definition,
        options: actorSchema.parse({ ...actor.definition.options, ...own }),
        io: null,
      };
    });
    const stores: [string, IoSpec][] = [
      ...Object.entries(given.io ?? {}).map(([name, spec]) => [`io:${name}`, spec] as [string, IoSpec]),
      [DEAD_LETTERS, this.#deadLetterSpec()],
      [PARK, this.#parkSpec()],
    ];
    for (const [name, spec] of stores)
      actors.push({
        name,
        definition: {
          key: ask => spec.key(ask, 0),
          handleBatch: (_asks: readonly unknown[], _ctx: BatchContext) => undefined,
        },
        options: actorSchema.parse({ batch: { flushMs: 0 }, timeoutMs: 0, retry: { attempts: 1 }, concurrency: 16 }),
        io: { spec, thread: 0 },
      });
    return {
      name: 'simulated',
      options: runtimeSchema.parse({ partitions: 8, ...given.options }),
      settings: {},
      summary: undefined,
      actors,
      sources: Object.entries(given.sources ?? {}).map(([name, source]) => ({
        name,
        to: typeof source.to === 'string' ? [source.to] : source.to,
        options: sourceSchema.parse(source.options ?? {}),
        map: null,
        from: { half: source.half },
        thread: 0,
      })),
      ioThreads: 1,
      warnings: [],
    };
  }

  #deadLetterSpec(): IoSpec {
    return memorySpec('dead-letters', ask => {
      const op = ask as { op: string; letter: DeadLetter };
      if (this.storeBroken) return { error: new KeymillError('IO_FAILED', 'the simulated store is broken') };
      if (op.op === 'write' && !this.deadLetters.has(op.letter.id)) this.deadLetters.set(op.letter.id, op.letter);
      return { value: undefined };
    });
  }

  #parkSpec(): IoSpec {
    const base = memorySpec('park', ask => {
      const op = ask as {
        op: string;
        messages: Parked[];
        claim: Claim;
        claims: Claim[];
        actor: string;
        key: Key;
        seq: number;
        after: number;
        count: number;
      };
      if (op.op === 'keys') this.#fences.claim(op.claims);
      if (op.op === 'keys')
        return {
          value: [...this.#parked.values()].map(({ actor, key, hash, messages }) => ({
            actor,
            key,
            hash,
            count: messages.size,
            last: [...messages.keys()].at(-1) ?? 0,
          })),
        };
      if (this.storeBroken) return { error: new KeymillError('IO_FAILED', 'the simulated store is broken') };
      if (op.op === 'append' && !this.#fences.admits(op.claim))
        return { error: new KeymillError('IO_FAILED', 'fenced') };
      if (op.op === 'append') return { value: op.messages.map(message => this.#park(message)) };
      const name = `${op.actor}/${String(op.key)}`;
      const entry = this.#parked.get(name);
      if (op.op === 'forget') {
        entry?.messages.delete(op.seq);
        if (entry?.messages.size === 0) this.#parked.delete(name);
        return { value: undefined };
      }
      const taken = [...(entry?.messages ?? [])].filter(([seq]) => seq > op.after).slice(0, op.count);
      return { value: taken.map(([seq, message]) => ({ seq, message })) };
    });
    return {
      ...base,
      client: ask => ({
        append: (messages: readonly Parked[], claim: Claim) => ask({ op: 'append', messages, claim }),
        take: (actor: string, key: Key, after: number, count: number) => ask({ op: 'take', actor, key, after, count }),
        forget: async (actor: string, key: Key, seq: number) => void (await ask({ op: 'forget', actor, key, seq })),
        keys: (claims: readonly Claim[]) => ask({ op: 'keys', claims }),
      }),
    };
  }

  /** Its number; negative when this very message is parked already. */
  #park(message: Parked): number {
    const { actor, key, hash, source, epoch, position, path } = message;
    const name = `${actor}/${String(key)}`;
    const entry = this.#parked.get(name) ?? { actor, key, hash, messages: new Map<number, Parked>() };
    this.#parked.set(name, entry);
    for (const [seq, other] of entry.messages)
      if (other.source === source && other.epoch === epoch && other.position === position && other.path === path)
        return -seq;
    entry.messages.set(this.#parkSeq, message);
    return this.#parkSeq++;
  }

  /** The messages that lie in the park. */
  *parkedBodies(): Iterable<unknown> {
    for (const { messages } of this.#parked.values()) for (const { body } of messages.values()) yield body;
  }

  /** How many messages were ever parked. */
  get parkedEver(): number {
    return this.#parkSeq - 1;
  }

  /** How many messages lie in the park. */
  get parkedCount(): number {
    let sum = 0;
    for (const { messages } of this.#parked.values()) sum += messages.size;
    return sum;
  }
}

function memorySpec(kind: string, answer: (ask: unknown) => { value: unknown } | { error: unknown }): IoSpec {
  return {
    kind,
    policy: {},
    options: {},
    check: () => [],
    key: () => kind,
    open: () => ({ handleBatch: asks => asks.map(answer), close: () => undefined }),
    client: ask => ask,
  };
}
