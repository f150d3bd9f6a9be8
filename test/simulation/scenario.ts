/**
 * One simulated life of a runtime under a seed: actors with random options, messages with random scripts, faults at
 * random moments, an operator, and the judge. Faults cease after a while; then everything must come to its end.
 */
import type { Transition } from '../../runtime/environment.ts';
import { isKeymillError, KeymillError } from '../../runtime/errors.ts';
import type { IoSpec } from '../../runtime/io/contract.ts';
import { hashKey } from '../../runtime/lanes/key-hash.ts';
import { unpackValue } from '../../runtime/lanes/value.ts';
import { seededRandom } from '../../runtime/random.ts';
import { Simulation } from '../../runtime/testing/simulation.ts';
import type { SourceHalf, SourceRecord } from '../../runtime/topology/define.ts';
import { batched, OUTPUT, single, type World } from './handlers.ts';
import { Judge, Violation } from './judge.ts';
import { MemoryStates } from './memory-states.ts';
import { costOf, type Message, mayDie, withChildren } from './message.ts';
import { pictureOf } from './picture.ts';
import { ATTEMPTS, Script, type ScriptedSource, STATES } from './script.ts';
import { FAULTS, type Fault } from './weather.ts';

const FAULT_STEPS = 500;
const OPERATOR_MS = 150;

export interface Outcome {
  steps: number;
  faults: number;
  repeats: number;
  messages: number;
}

/** Runs one seed. Throws a Violation (or whatever the engine threw) with the seed in its text. */
export async function runScenario(
  seed: number,
  transitions?: Map<Transition, number>,
  log?: (text: string) => void,
): Promise<Outcome> {
  const scenario = new Scenario(seed, transitions, log);
  try {
    return await scenario.run();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const failure = new Violation(text.startsWith('seed') ? text : `seed ${seed}: ${text}`, { cause: error });
    if (log) for (const line of [...scenario.judge.trace, ...pictureOf(scenario)]) log(line);
    throw failure;
  }
}

export class Scenario implements World {
  readonly simulation: Simulation;
  readonly judge: Judge;
  /** Tells and asks without an outcome. */
  openTells = 0;
  readonly #states = new MemoryStates();
  readonly #script: Script;
  readonly #random: () => number;
  #faults = 0;
  #outputBroken = false;
  #stopping = false;
  #killing = false;
  /** Sources live in a thread that died once. */
  #reborn = false;
  readonly #mustDie: [id: string, error: string][] = [];
  #failure: unknown;
  #lettersSeen = 0;
  #parkedSeen = 0;

  constructor(
    seed: number,
    transitions: Map<Transition, number> | undefined,
    log: ((text: string) => void) | undefined,
  ) {
    this.#random = seededRandom(seed ^ 0x5bd1e995);
    const script = new Script(this.#random);
    this.#script = script;
    this.judge = new Judge(
      message => this.#mortal(message),
      message => this.#droppable(message),
      actor => script.options[actor]!.onDead === 'parkKey',
      actor => script.options[actor]!.persist !== undefined,
    );
    this.judge.note(JSON.stringify(script.weather));
    const { options } = script;
    this.simulation = new Simulation({
      seed,
      hosts: script.hosts,
      ...(transitions ? { transitions } : {}),
      ...(log
        ? {
            log: (level, fields, text) =>
              this.judge.note(
                `    [${level}] ${text} ${JSON.stringify(fields, (k, v) => (k === 'stack' ? undefined : v)).slice(0, 300)}`,
              ),
          }
        : {}),
      options: {
        partitions: 8,
        window: { messages: script.window },
        quantum: { items: script.quantum, ms: 5 },
        stuckMs: 1000,
        quarantineAfter: script.quarantineAfter,
        restart: { max: 1000, delayMs: 5 },
        deadLetters: { retryMs: 20 },
      },
      actors: {
        alpha: { use: single(this), options: options['alpha']! },
        beta: { use: batched(this), options: options['beta']! },
        gamma: { use: single(this), options: options['gamma']! },
        across: { use: batched(this), options: options['across']! },
      },
      io: { [OUTPUT]: this.#output(), [STATES]: this.#states.spec() },
      sources: Object.fromEntries(
        script.sources.map(source => [
          source.name,
          {
            to: source.messages[0]!.actor,
            half: () => this.#half(source),
            options: { window: { messages: source.window }, maxAckGap: { messages: source.maxAckGap } },
          },
        ]),
      ),
    });
  }

  async run(): Promise<Outcome> {
    const { judge, simulation } = this;
    const { sources, tells, asks, weather } = this.#script;
    for (const source of sources) for (const message of source.messages) judge.add(message);
    for (const message of [...tells, ...asks]) judge.add(message);
    judge.quarantineAfter = this.#script.quarantineAfter;
    simulation.threads.onDeath = node => {
      judge.deaths = simulation.threads.deaths;
      judge.died(node, !this.#killing);
    };
    await simulation.start();
    this.#startTelling();
    this.#operate();
    while (simulation.scheduler.steps < FAULT_STEPS || this.#faults < 2) {
      if (
        simulation.scheduler.chance(weather.faultChance) ||
        (simulation.scheduler.steps >= FAULT_STEPS - 20 && this.#faults < 2)
      )
        this.#fault();
      this.#observe();
      if (!(await simulation.step())) break;
    }
    const { stopAfter } = this.#script;
    if (stopAfter === undefined) await this.#untilSettled();
    else await this.#stopEarly(stopAfter);
    return {
      steps: simulation.scheduler.steps,
      faults: this.#faults,
      repeats: judge.repeats,
      messages: judge.records.size,
    };
  }

  fail(error: unknown): void {
    this.#failure ??= error;
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async #untilSettled(): Promise<void> {
    const { judge, simulation } = this;
    simulation.storeBroken = false;
    this.#states.down = null;
    this.#outputBroken = false;
    await simulation.until(() => {
      this.#observe();
      return (
        (simulation.supervisor.isSettled &&
          this.openTells === 0 &&
          simulation.parkedCount === 0 &&
          judge.isAllOver()) ||
        simulation.failure !== null
      );
    }, 'settlement of everything');
    if (simulation.failure) throw simulation.failure;
    this.#observe();
    for (const [id, text] of this.#mustDie)
      if (judge.of(id).dead === null)
        throw new Violation(`${id} was answered with an error (${text}), but there is no dead letter`);
    judge.finish((message, code, deathsAlone) => this.#mayDieOf(message, code, deathsAlone));
    this.#judgeStates();
    this.#stopping = true;
    if (!(await simulation.stop())) throw new Violation('the drain of a settled runtime abandoned something');
  }

  /** Each message that its sender saw done is counted once in the durable state of its key. */
  #judgeStates(): void {
    for (const [actor, { persist }] of Object.entries(this.#script.options)) {
      if (!persist) continue;
      const counted = new Map<string, number>();
      for (const [name, { bytes }] of this.#states.states) {
        if (!name.startsWith(`state:${actor}:`)) continue;
        const [, , state] = unpackValue(bytes) as [number, number, Uint8Array | null];
        for (const id of state === null ? [] : (unpackValue(state) as string[]))
          counted.set(id, (counted.get(id) ?? 0) + 1);
      }
      for (const record of this.judge.records.values()) {
        const { id, actor: its } = record.message;
        if (its !== actor) continue;
        const times = counted.get(id) ?? 0;
        if (times > 1 && !this.judge.isForsaken(id))
          throw new Violation(`${id} is counted ${times} times in the state of its key`);
        if (times === 0 && this.judge.isDone(id) && !this.judge.isForsaken(id))
          throw new Violation(`${id} is done and not counted in the state of its key`);
      }
    }
  }

  /** A drain in the middle of it: what it says must be true. What was acked is judged at the ack. */
  async #stopEarly(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.judge.note(`STOP after ${graceMs} ms at most`);
    const settled = await this.simulation.stop(graceMs).catch((error: unknown) => {
      // It says so itself: a source's thread was on its way back.
      if (isKeymillError(error, 'DRAIN_ABANDONED')) return false;
      throw error;
    });
    this.#observe();
    this.judge.note(settled ? 'drained' : 'abandoned');
    if (settled) this.judge.drained(this.#reborn);
  }

  // ── what it is given ─────────────────────────────────────────────────────────────────────────────────────────────

  /** A source half over the scripted messages. What is not replayable goes on where it was, like a pipe. */
  #half(source: ScriptedSource): SourceHalf<Message> {
    const { judge } = this;
    const simulation = (): Simulation => this.simulation;
    return {
      traits: { replayable: source.replayable, ordered: true, contiguous: source.contiguous },
      async *read(from, signal) {
        for (let at = source.replayable ? from : source.cursor; at < source.messages.length && !signal.aborted; ) {
          const chunk: SourceRecord<Message>[] = [];
          for (let i = 0; i < source.chunk && at < source.messages.length; i++, at++)
            // What was acked one by one is not given again, as a broker would not.
            if (source.contiguous || !judge.of(source.messages[at]!.id).settled)
              chunk.push({ position: at, value: source.messages[at]! });
          await simulation().sleep(1);
          if (simulation().isGhost) return;
          source.cursor = at;
          for (const { value } of chunk) judge.accepted(value.id);
          yield chunk;
        }
      },
      ack: ({ low, positions }) => {
        const settled = source.contiguous
          ? source.messages.slice(source.acked, low)
          : positions.map(position => source.messages[position]!);
        source.acked = Math.max(source.acked, low);
        this.#observe();
        for (const message of settled) {
          judge.note(`source acks ${message.id}`);
          judge.settled(message.id, 'done');
        }
      },
    };
  }

  #output(): IoSpec {
    return {
      kind: OUTPUT,
      policy: { breaker: { failures: 3, openMs: 100, successes: 1 } },
      options: {},
      check: () => [],
      key: () => OUTPUT,
      open: () => ({
        handleBatch: asks =>
          asks.map(id =>
            this.#outputBroken ? { error: new KeymillError('IO_FAILED', 'out of order') } : { value: id },
          ),
        probe: async () => {
          if (this.#outputBroken) throw new Error('still out of order');
        },
        close: () => undefined,
      }),
      client: ask => ask,
    };
  }

  #startTelling(): void {
    const { tells, asks } = this.#script;
    const { judge, simulation } = this;
    const ended = (): void => {
      this.openTells--;
      this.#observe();
    };
    const tell = (index: number): void => {
      const message = tells[index];
      if (!message || this.#stopping) return;
      this.openTells++;
      judge.accepted(message.id);
      simulation.tells
        .tell(message.actor, message, { until: 'settled', waitMs: 1e9 })
        .then(
          () => {
            ended();
            judge.settled(message.id, 'done');
          },
          (error: Error & { code?: string }) => {
            ended();
            if (error.code === 'RUNTIME_STOPPED' && this.#stopping) judge.of(message.id).accepted = false;
            else if (error.code === 'MAILBOX_FULL') judge.settled(message.id, 'dropped');
            else if (judge.of(message.id).dead === null)
              this.fail(new Violation(`${message.id} was reported dead without a dead letter: ${error.message}`));
            else judge.of(message.id).settled = true;
          },
        )
        .catch((error: unknown) => this.fail(error));
      simulation.environment.clock.after(this.#script.pick(20), () => tell(index + 1));
    };
    tell(0);
    for (const message of asks) {
      this.openTells++;
      judge.accepted(message.id);
      simulation.tells.ask(message.actor, message, { deadlineMs: 1e6, waitMs: 1e9 }).then(
        value => {
          ended();
          if (value !== message.value)
            this.fail(new Violation(`${message.id} was answered ${value}, not ${message.value}`));
        },
        (error: Error & { code?: string }) => {
          ended();
          if (error.code === 'RUNTIME_STOPPED' && this.#stopping) judge.of(message.id).accepted = false;
          else if (error.code === 'MAILBOX_FULL') judge.of(message.id).dropped = true;
          else this.#mustDie.push([message.id, error.message]); // its dead letter may still be on its way
        },
      );
    }
  }

  /** Now and then an operator resumes keys that a death paused. */
  #operate(): void {
    const { judge, simulation } = this;
    const { weather, options } = this.#script;
    if (weather.strict === 0) return;
    simulation.environment.clock.after(OPERATOR_MS, () => {
      if (this.#stopping) return;
      for (const [actor, { onDead }] of Object.entries(options))
        if (onDead === 'parkKey')
          for (let k = 0; k < weather.keys; k++) {
            const key = `${actor[0]}${k}`;
            judge.resuming(actor, key);
            void simulation.supervisor.key(actor, key, hashKey(key), 'resume').then(() => judge.resumed(actor, key));
          }
      this.#operate();
    });
  }

  /** What happened outside of handlers. */
  #observe(): void {
    const { judge, simulation } = this;
    if (judge.violation !== null) throw judge.violation;
    if (this.#failure !== undefined) throw this.#failure;
    judge.step = simulation.scheduler.steps;
    if (simulation.deadLetters.size > this.#lettersSeen)
      for (const { message, error } of [...simulation.deadLetters.values()].slice(this.#lettersSeen)) {
        const { id } = message as Message;
        if (!id.startsWith('inner')) judge.dead(id, error.code ?? error.class ?? 'unknown');
      }
    this.#lettersSeen = simulation.deadLetters.size;
    if (simulation.parkedEver > this.#parkedSeen)
      for (const { id } of simulation.parkedBodies() as Iterable<Message>)
        if (!id.startsWith('inner')) judge.of(id).parked = true;
    this.#parkedSeen = simulation.parkedEver;
    judge.deaths = simulation.threads.deaths;
  }

  // ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #fault(): void {
    const { judge, simulation } = this;
    const { scheduler } = simulation;
    this.#faults++;
    const fault = this.#choose();
    judge.note(`FAULT ${fault}`);
    switch (fault) {
      case 'crash':
        return simulation.crashHost();
      case 'kill':
        return this.#kill();
      case 'stall':
        judge.stalls++;
        return simulation.stallHost(scheduler.pick(3000));
      case 'crash I/O':
        this.#reborn = true;
        this.#forsake();
        return simulation.crashIo();
      case 'store':
        simulation.storeBroken = !simulation.storeBroken;
        this.#states.down = simulation.storeBroken ? new KeymillError('IO_FAILED', 'the store is broken') : null;
        return;
      case 'output':
        this.#outputBroken = !this.#outputBroken;
        return;
      case 'move':
        if (simulation.movePartition(scheduler.pick(8), 1 + scheduler.pick(this.#script.hosts))) judge.moves++;
    }
  }

  #choose(): Fault {
    const { faults } = this.#script.weather;
    let at = this.simulation.scheduler.random() * Object.values(faults).reduce((sum, weight) => sum + weight, 0);
    return FAULTS.find(fault => (at -= faults[fault]) < 0) ?? 'crash';
  }

  #kill(): void {
    this.#killing = true;
    this.simulation.killHost();
    this.#killing = false;
  }

  /** The I/O thread dies. What a source that cannot replay had given is lost with it, but for what has arrived somewhere. */
  #forsake(): void {
    const refuges = new Map<string, { alive: boolean }>();
    for (const { node, thread } of this.simulation.threads.living.values())
      for (const cell of thread.host.cells)
        if (cell && !cell.fixed)
          for (const mailbox of cell.mailboxes()) {
            for (let item = mailbox.head; item !== null; item = item.next) refuges.set((item.body as Message).id, node);
          }
    for (const source of this.#script.sources)
      if (!source.replayable)
        for (let at = 0; at < source.cursor; at++)
          for (const message of withChildren(source.messages[at]!))
            this.judge.forsake(message.id, refuges.get(message.id) ?? null);
  }

  // ── what may happen ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Something other than its own failing may make it late, which costs an attempt. */
  #mayBeLate(message: Message): boolean {
    return this.judge.stalls > 0 || message.ask !== null || message.writes;
  }

  #mortal(message: Message): boolean {
    return (
      mayDie(message, ATTEMPTS) ||
      (this.judge.stalls > 0 && message.fails.length > 0) ||
      message.ask !== null ||
      message.writes ||
      message.hang !== 0
    );
  }

  #droppable(message: Message): boolean {
    const { onKeyFull, mailbox } = this.#script.options[message.actor]!;
    return (
      onKeyFull === 'dead' ||
      message.id.startsWith('ask#') ||
      (message.id.startsWith('tell#') && !message.id.includes('.') && mailbox!.full !== 'Wait')
    );
  }

  #mayDieOf(message: Message, code: string, deathsAlone: number): boolean {
    if (code === 'KEY_FULL') return this.#script.options[message.actor]!.onKeyFull === 'dead' || message.ask !== null;
    if (code === 'HOST_KILLED') return deathsAlone >= this.#script.quarantineAfter || message.ask !== null;
    // Whom it asks may be busy, full, or waiting for a store.
    if (message.ask && ['ASK_REJECTED', 'HANDLER_TIMEOUT', 'MAILBOX_FULL'].includes(code)) return true;
    if (message.writes && code === 'HANDLER_TIMEOUT') return true;
    if (this.#mayBeLate(message) && message.fails.length > 0) return true;
    return mayDie(message, ATTEMPTS) || (message.hang !== 0 && costOf(message) + 1 >= ATTEMPTS);
  }
}
