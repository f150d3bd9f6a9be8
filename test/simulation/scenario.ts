/**
 * One simulated life of a runtime under a seed: actors with random options, messages with random scripts, faults at
 * random moments, and the judge. Faults cease after a while; then everything must come to its end.
 */

import type { Transition } from '../../runtime/environment.ts';
import { ClassifiedError, type ErrorClass } from '../../runtime/errors.ts';
import { seededRandom } from '../../runtime/random.ts';
import { Simulation } from '../../runtime/testing/simulation.ts';
import {
  type BatchContext,
  type Context,
  defineActor,
  type SourceHalf,
  type SourceRecord,
} from '../../runtime/topology/define.ts';
import type { ActorOptionsInput } from '../../runtime/topology/options.ts';
import { Judge, Violation } from './judge.ts';
import { type Message, mayDie, withChildren } from './message.ts';

const FAULT_STEPS = 500;
/** A new one each time: a promise keeps who waits for it. */
const never = (): Promise<never> => new Promise(() => undefined);
const ATTEMPTS = 3;
const MOVES_ENABLED = true;

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
    if (log) for (const line of [...scenario.judge.trace, ...scenario.picture()]) log(line);
    throw failure;
  }
}

interface ScriptedSource {
  name: string;
  messages: Message[];
  replayable: boolean;
  contiguous: boolean;
  cursor: number;
  acked: number;
}

class Scenario {
  readonly judge = new Judge(
    message =>
      mayDie(message, ATTEMPTS) ||
      (this.#stalls > 0 && message.fails.length > 0) ||
      message.ask !== null ||
      message.hang !== 0,
    message =>
      this.#options[message.actor]!.onKeyFull === 'dead' ||
      message.id.startsWith('ask#') ||
      (message.id.startsWith('tell#') &&
        !message.id.includes('.') &&
        this.#options[message.actor]!.mailbox!.full !== 'Wait'),
  );
  readonly #random: () => number;
  readonly #simulation: Simulation;
  readonly #options: Record<string, ActorOptionsInput>;
  readonly #sources: ScriptedSource[] = [];
  readonly #tells: Message[] = [];
  readonly #asks: Message[] = [];
  readonly #quarantineAfter: number;
  #faults = 0;
  readonly #mustDie: [id: string, error: string][] = [];
  #openTells = 0;
  #stalls = 0;

  constructor(
    seed: number,
    transitions: Map<Transition, number> | undefined,
    log: ((text: string) => void) | undefined,
  ) {
    this.#random = seededRandom(seed ^ 0x5bd1e995);
    this.#options = {
      alpha: this.#actorOptions(),
      beta: this.#actorOptions(),
      gamma: this.#actorOptions(),
      across: { ...this.#actorOptions(), onDead: 'skip', onKeyFull: 'stall' },
    };
    this.#options['across']!.batch = { ...this.#options['across']!.batch, across: 'keys' };
    this.#script();
    const hosts = 1 + this.#pick(3);
    this.#quarantineAfter = 1 + this.#pick(3);
    const sources = Object.fromEntries(
      this.#sources.map(source => [
        source.name,
        {
          to: source.messages[0]!.actor,
          half: () => this.#half(source),
          options: { window: { messages: 8 + this.#pick(40) }, maxAckGap: { messages: 16 + this.#pick(60) } },
        },
      ]),
    );
    this.#simulation = new Simulation({
      seed,
      hosts,
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
        window: { messages: 8 + this.#pick(64) },
        quantum: { items: 1 + this.#pick(8), ms: 5 },
        stuckMs: 1000,
        quarantineAfter: this.#quarantineAfter,
        restart: { max: 1000, delayMs: 5 },
        deadLetters: { retryMs: 20 },
      },
      actors: {
        alpha: { use: this.#single(), options: this.#options['alpha']! },
        beta: { use: this.#batched(), options: this.#options['beta']! },
        gamma: { use: this.#single(), options: this.#options['gamma']! },
        across: { use: this.#batched(), options: this.#options['across']! },
      },
      sources,
    });
  }

  async run(): Promise<Outcome> {
    const { judge } = this;
    for (const source of this.#sources) for (const message of source.messages) judge.add(message);
    for (const message of [...this.#tells, ...this.#asks]) judge.add(message);
    judge.quarantineAfter = this.#quarantineAfter;
    this.#simulation.threads.onDeath = node => judge.died(node);
    await this.#simulation.start();
    this.#startTelling();
    while (this.#simulation.scheduler.steps < FAULT_STEPS || this.#faults < 2) {
      if (
        this.#simulation.scheduler.chance(0.012) ||
        (this.#simulation.scheduler.steps >= FAULT_STEPS - 20 && this.#faults < 2)
      )
        this.#fault();
      this.#observe();
      if (!(await this.#simulation.step())) break;
    }
    this.#simulation.storeBroken = false;
    await this.#simulation.until(() => {
      this.#observe();
      return (
        (this.#simulation.supervisor.isSettled &&
          this.#openTells === 0 &&
          this.#simulation.parkedCount === 0 &&
          this.#allOver()) ||
        this.#simulation.failure !== null
      );
    }, 'settlement of everything');
    if (this.#simulation.failure) throw this.#simulation.failure;
    this.#observe();
    for (const [id, text] of this.#mustDie)
      if (judge.of(id).dead === null)
        throw new Violation(`${id} was answered with an error (${text}), but there is no dead letter`);
    judge.finish((message, code, deathsAlone) => this.#mayDieOf(message, code, deathsAlone));
    if (!(await this.#simulation.stop())) throw new Violation('the drain of a settled runtime abandoned something');
    return {
      steps: this.#simulation.scheduler.steps,
      faults: this.#faults,
      repeats: judge.repeats,
      messages: judge.records.size,
    };
  }

  /** Where everything stands, for the log of a failing seed. */
  *picture(): Iterable<string> {
    const { supervisor, threads } = this.#simulation;
    yield `open tells ${this.#openTells}, parked ${this.#simulation.parkedCount}, sources settled ${supervisor.sourcesSettled}, main unsettled ${supervisor.main.sender.unsettled}, store broken ${this.#simulation.storeBroken}`;
    for (const message of this.#simulation.parkedBodies() as Iterable<Message>)
      yield `parked ${message.id} ${message.actor}/${message.key} ${JSON.stringify(this.judge.of(message.id), (k, v) => (k === 'message' || k === 'running' || k === 'sentBy' ? undefined : v))}`;
    yield `main ${JSON.stringify(supervisor.main.sender.snapshots())}`;
    for (const slot of supervisor.slots)
      if (slot)
        yield `slot ${slot.index} ${slot.status} @${slot.incarnation} suspects ${JSON.stringify(slot.suspects)}`;
    for (const { node, thread } of threads.living.values()) {
      yield `${node.name} stalled until ${node.stalledUntil} lanes ${JSON.stringify(thread.host.sender.snapshots())} running ${thread.host.scheduler.running}`;
      const unsettled: string[] = [];
      thread.host.sender.eachUnsettled(message =>
        unsettled.push((message.body as Message).id ?? JSON.stringify(message.body).slice(0, 60)),
      );
      yield `  unsettled ${unsettled.join(' ')}`;
      for (const cell of thread.host.cells)
        if (cell)
          for (const mailbox of cell.mailboxes())
            if (mailbox.count > 0 || mailbox.standing === 'running' || mailbox.parked > 0)
              yield `  ${cell.name}/${String(mailbox.key)} ${mailbox.standing} line ${mailbox.line} count ${mailbox.count} notBefore ${mailbox.notBefore} paused ${mailbox.paused} parked ${mailbox.parked} suspects ${mailbox.suspects} head ${mailbox.head?.id}`;
    }
    for (const record of this.judge.records.values())
      if (record.accepted && !this.judge.isOver(record.message.id))
        yield `not over: ${JSON.stringify({ ...record, message: record.message.id, running: record.running !== null, sentBy: record.sentBy.length })}`;
  }

  // ── the world ────────────────────────────────────────────────────────────────────────────────────────────────────

  #pick(below: number): number {
    return Math.floor(this.#random() * below);
  }

  #one<T>(choices: readonly T[]): T {
    return choices[this.#pick(choices.length)]!;
  }

  #actorOptions(): ActorOptionsInput {
    const full = this.#random() < 0.6 ? 'Wait' : this.#one(['DropOldest', 'DropNewest', 'DropWrite'] as const);
    return {
      mailbox: { maxMessages: this.#random() < 0.5 ? 10_000 : 1 + this.#pick(6), full },
      batch: {
        max: 1 + this.#pick(12),
        flushMs: this.#random() < 0.5 ? 0 : this.#pick(60),
        strategy: this.#one(['eightyPercent', 'fixed', 'doubling'] as const),
      },
      retry: { attempts: ATTEMPTS, delayMs: 10, maxDelayMs: 50 },
      onKeyFull: this.#random() < 0.5 ? 'stall' : this.#one(['park', 'dead'] as const),
      concurrency: 1 + this.#pick(6),
      timeoutMs: 100,
      zombieMs: 150,
      passivateMs: this.#random() < 0.3 ? 1000 : 300_000,
      maxResident: this.#random() < 0.3 ? 2 : 1000,
      priority: this.#pick(8),
    };
  }

  #message(stream: string, n: number, actor: string, id: string, depth: number): Message {
    const key = `${actor[0]}${this.#pick(5)}`;
    const fails: ErrorClass[] = [];
    if (this.#random() < 0.15)
      for (let i = this.#pick(4); i >= 0; i--)
        fails.push(this.#one(['transient', 'throttled', 'unknown', 'poison', 'transient', 'unknown'] as const));
    if (this.#random() < 0.02) fails.push('fatal');
    const message: Message = {
      id,
      stream,
      n,
      actor,
      key,
      fails,
      sleep: this.#random() < 0.4 ? 0 : this.#pick(30),
      hang: this.#random() < 0.02 ? this.#one([-1, 180]) : 0,
      poison: this.#random() < 0.006,
      children: [],
      ask: null,
      value: null,
    };
    const targets = actor === 'alpha' ? ['beta', 'gamma', 'across'] : actor === 'beta' ? ['gamma', 'across'] : [];
    if (depth < 2 && targets.length > 0 && this.#random() < 0.5)
      for (let i = this.#pick(3); i >= 0; i--) {
        const target = this.#one(targets);
        // Children of one key to one key are ordered as their parents are.
        message.children.push(this.#message(`${stream}|${actor}/${key}`, n * 100 + i, target, `${id}.${i}`, depth + 1));
      }
    message.children.sort((a, b) => a.n - b.n);
    if (actor === 'alpha' && this.#random() < 0.06)
      message.ask = { actor: 'gamma', key: `g${this.#pick(5)}`, value: this.#pick(1000) };
    return message;
  }

  #script(): void {
    let total = 0;
    const count = 1 + this.#pick(2);
    for (let s = 0; s < count; s++) {
      const name = `source${s}`;
      const actor = this.#one(['alpha', 'alpha', 'beta', 'across']);
      const replayable = this.#random() < 0.75;
      const messages = Array.from({ length: 15 + this.#pick(40) }, (_, n) =>
        this.#message(name, n, actor, `${name}#${n}`, 0),
      );
      total += messages.length;
      this.#sources.push({ name, messages, replayable, contiguous: this.#random() < 0.6, cursor: 0, acked: 0 });
    }
    for (let n = 0; n < 10 + this.#pick(30); n++)
      this.#tells.push(this.#message('tells', n, this.#one(['alpha', 'beta', 'gamma']), `tell#${n}`, 0));
    for (let n = 0; n < this.#pick(6); n++)
      this.#asks.push({
        ...this.#message('asks', total + n, 'gamma', `ask#${n}`, 2),
        fails: [],
        poison: false,
        hang: 0,
        value: n,
      });
  }

  /** A source half over the scripted messages. What is not replayable goes on where it was, like a pipe. */
  #half(source: ScriptedSource): SourceHalf<Message> {
    const { judge } = this;
    const simulation = (): Simulation => this.#simulation;
    return {
      traits: { replayable: source.replayable, ordered: true, contiguous: source.contiguous },
      async *read(from, signal) {
        for (let at = source.replayable ? from : source.cursor; at < source.messages.length && !signal.aborted; ) {
          const chunk: SourceRecord<Message>[] = [];
          for (let i = 0; i < 4 && at < source.messages.length; i++, at++)
            // What was acked one by one is not given again, as a broker would not.
            if (source.contiguous || !judge.of(source.messages[at]!.id).settled)
              chunk.push({ position: at, value: source.messages[at]! });
          await simulation().sleep(1);
          if (simulation().isGhost) return;
          source.cursor = at;
          for (const { value } of chunk) {
            judge.accepted(value.id);
          }
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

  #startTelling(): void {
    const tell = (index: number): void => {
      const message = this.#tells[index];
      if (!message) return;
      this.#openTells++;
      this.judge.accepted(message.id);
      this.#simulation.tells
        .tell(message.actor, message, { until: 'settled', waitMs: 1e9 })
        .then(
          () => {
            this.#openTells--;
            this.#observe();
            this.judge.settled(message.id, 'done');
          },
          (error: Error & { code?: string }) => {
            this.#openTells--;
            this.#observe();
            if (error.code === 'MAILBOX_FULL') this.judge.settled(message.id, 'dropped');
            else if (this.judge.of(message.id).dead === null)
              this.#fail(new Violation(`${message.id} was reported dead without a dead letter: ${error.message}`));
            else this.judge.of(message.id).settled = true;
          },
        )
        .catch((error: unknown) => this.#fail(error));
      this.#simulation.environment.clock.after(this.#pick(20), () => tell(index + 1));
    };
    tell(0);
    for (const message of this.#asks) {
      this.#openTells++;
      this.judge.accepted(message.id);
      this.#simulation.tells.ask(message.actor, message, { deadlineMs: 1e6, waitMs: 1e9 }).then(
        value => {
          this.#openTells--;
          if (value !== message.value)
            this.#fail(new Violation(`${message.id} was answered ${value}, not ${message.value}`));
        },
        (error: Error & { code?: string }) => {
          this.#openTells--;
          this.#observe();
          if (error.code === 'MAILBOX_FULL') this.judge.of(message.id).dropped = true;
          else this.#mustDie.push([message.id, error.message]); // its dead letter may still be on its way
        },
      );
    }
  }

  #failure: unknown;
  #fail(error: unknown): void {
    this.#failure ??= error;
  }

  /** What happened outside of handlers. */
  #observe(): void {
    if (this.judge.violation !== null) throw this.judge.violation;
    if (this.#failure !== undefined) throw this.#failure;
    const { judge } = this;
    for (const letter of this.#simulation.deadLetters.values()) {
      const message = letter.message as Message;
      if (!message.id.startsWith('inner')) judge.dead(message.id, letter.error.code ?? letter.error.class ?? 'unknown');
    }
    for (const message of this.#simulation.parkedBodies() as Message[])
      if (!message.id.startsWith('inner')) judge.of(message.id).parked = true;
    judge.deaths = this.#simulation.threads.deaths;
  }

  #allOver(): boolean {
    for (const record of this.judge.records.values())
      if (
        record.accepted &&
        !record.forsaken &&
        (record.parked ? !record.succeeded && record.dead === null : !this.judge.isOver(record.message.id))
      )
        return false;
    return true;
  }

  #mayDieOf(message: Message, code: string, deathsAlone: number): boolean {
    if (code === 'KEY_FULL') return this.#options[message.actor]!.onKeyFull === 'dead' || message.ask !== null;
    if (code === 'HOST_KILLED') return deathsAlone >= this.#quarantineAfter || message.ask !== null;
    // Whom it asks may be busy, full, or waiting for a store.
    if (message.ask && (code === 'ASK_REJECTED' || code === 'HANDLER_TIMEOUT')) return true;
    // A stalled host, or one that is asked, makes handlers late; one that then fails has timed out, which costs an attempt.
    if ((this.#stalls > 0 || message.ask) && message.fails.length > 0) return true;
    return (
      mayDie(message, ATTEMPTS) ||
      message.hang !== 0 ||
      (message.ask !== null && (code === 'MAILBOX_FULL' || code === 'KEY_FULL'))
    );
  }

  #fault(): void {
    const simulation = this.#simulation;
    const { scheduler } = simulation;
    this.#faults++;
    const kind = scheduler.pick(MOVES_ENABLED ? 12 : 9);
    if (kind <= 2) {
      this.judge.note('FAULT crash');
      simulation.crashHost();
    } else if (kind <= 4) {
      this.judge.note('FAULT kill');
      simulation.killHost();
    } else if (kind === 5) {
      this.#stalls++;
      this.judge.note('FAULT stall');
      simulation.stallHost(scheduler.pick(3000));
    } else if (kind === 6) {
      this.judge.note('FAULT crash I/O');
      this.#forsake();
      simulation.crashIo();
    } else if (kind <= 8) {
      this.judge.note('FAULT store');
      simulation.storeBroken = !simulation.storeBroken;
    } else {
      const hosts = simulation.supervisor.firstIoSlot - 1;
      const partition = scheduler.pick(8);
      const to = 1 + scheduler.pick(hosts);
      this.judge.note(`FAULT move partition ${partition} to ${to}`);
      if (simulation.movePartition(partition, to)) this.judge.moves++;
    }
  }

  /** What a source that cannot replay had given when its thread died may be lost with it. */
  #forsake(): void {
    for (const source of this.#sources)
      if (!source.replayable)
        for (let at = 0; at < source.cursor; at++)
          for (const message of withChildren(source.messages[at]!)) this.judge.of(message.id).forsaken = true;
  }

  // ── handlers ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #single() {
    return defineActor<Message, number | null>({
      key: message => message.key,
      handle: (message, ctx) => this.#handle(message, ctx),
      onPassivate: () => undefined,
      state: () => 0 as never,
    });
  }

  #batched() {
    return defineActor<Message>({
      key: message => message.key,
      handleBatch: (batch, ctx) => this.#handleBatch(batch, ctx as never),
    });
  }

  #handle(message: Message, ctx: Context): number | null | Promise<number | null> {
    const node = this.#simulation.scheduler.current!;
    if (!node.alive) return never();
    if (message.id.startsWith('inner')) return message.value;
    this.judge.begin([message.id], node);
    const call = this.judge.of(message.id).begun;
    if (message.poison) {
      this.#simulation.crashHost(ctx.host);
      return never();
    }
    for (const child of message.children) ctx.send(child.actor, child);
    const end = (): number | null => {
      if (!node.alive) return never() as never;
      const failure = message.fails[call - 1];
      if (failure) {
        this.judge.failed([message.id]);
        throw new ClassifiedError(failure, `planned ${failure} of ${message.id}`);
      }
      this.judge.succeeded([message.id], node);
      return message.value;
    };
    const wait = call === 1 && message.hang !== 0 ? message.hang : message.sleep;
    if (wait === -1) {
      this.judge.of(message.id).failed = true;
      return never();
    }
    if (message.hang > 0) this.judge.of(message.id).failed = true;
    if (wait === 0 && !message.ask) return end();
    return this.#later(message, ctx, wait, end);
  }

  async #later(message: Message, ctx: Context, wait: number, end: () => number | null): Promise<number | null> {
    if (wait > 0) await this.#simulation.sleep(wait);
    if (message.ask) {
      const { actor, key, value } = message.ask;
      const inner: Message = {
        id: `inner:${message.id}`,
        stream: '',
        n: 0,
        actor,
        key,
        sleep: 0,
        fails: [],
        hang: 0,
        poison: false,
        children: [],
        ask: null,
        value,
      };
      let answer: number;
      try {
        answer = await ctx.ask<Message, number>(actor, inner);
      } catch (error) {
        if (this.#simulation.isGhost) return never();
        this.judge.failed([message.id]);
        throw error;
      }
      if (answer !== value) this.#fail(new Violation(`the ask of ${message.id} was answered ${answer}, not ${value}`));
    }
    return end();
  }

  async #handleBatch(batch: readonly Message[], ctx: BatchContext<Message>): Promise<void> {
    const node = this.#simulation.scheduler.current!;
    if (!node.alive) return never();
    const ids = batch.map(message => message.id);
    this.judge.begin(ids, node);
    const calls = batch.map(message => this.judge.of(message.id).begun);
    if (batch.some(message => message.poison)) {
      this.#simulation.crashHost(ctx.host);
      return never();
    }
    batch.forEach((message, index) => {
      for (const child of message.children) ctx.send(index, child.actor, child);
    });
    const hanging = batch.find((message, i) => calls[i] === 1 && message.hang !== 0);
    if (hanging) for (const id of ids) this.judge.of(id).failed = true;
    if (hanging?.hang === -1) return never();
    const wait = hanging ? hanging.hang : Math.max(...batch.map(message => message.sleep));
    if (wait > 0) await this.#simulation.sleep(wait);
    if (!node.alive) return never();
    // Half of the failing batches say which item it was, the other half throw.
    const failing = batch.map((message, i) => message.fails[calls[i]! - 1]);
    const first = failing.findIndex(failure => failure !== undefined);
    if (first < 0) return this.judge.succeeded(ids, node);
    if (batch[first]!.n % 2 === 0) {
      this.judge.failed(ids);
      throw new ClassifiedError(failing[first]!, `planned ${failing[first]} of a batch with ${batch[first]!.id}`);
    }
    const behind = new Set<string>();
    batch.forEach((message, index) => {
      const failure = failing[index];
      if (behind.has(message.key)) this.judge.failed([message.id]);
      else if (failure) {
        behind.add(message.key);
        this.judge.failed([message.id]);
        ctx.fail(index, new ClassifiedError(failure, `planned ${failure} of ${message.id}`));
      } else this.judge.succeeded([message.id], node);
    });
  }
}
