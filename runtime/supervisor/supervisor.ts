/**
 * The supervisor: starts the threads, connects their lanes on first use, watches them, replaces the dead, and drains.
 * It runs in the main thread beside the main host (the sending half for tells and asks) and relays no message.
 */
import type { Environment } from '../environment.ts';
import { fromWire, KeymillError, toWire } from '../errors.ts';
import type { Command, KeyAction, Report } from '../host/control.ts';
import { Host } from '../host/host.ts';
import { sourceFacts } from '../host/host-plan.ts';
import { Ledger } from '../host/ledger.ts';
import { Homes } from '../lanes/homes.ts';
import { Counts } from '../observe/counts.ts';
import type { Depths, SourceSnapshot, ThreadSnapshot } from '../observe/stats.ts';
import type { Key, Log } from '../topology/define.ts';
import { DEAD_LETTERS, type Overrides, type Plan } from '../topology/plan.ts';
import { Flows } from './flows.ts';
import { LaneBook } from './lane-book.ts';
import { Moves } from './moves.ts';
import { type KillReason, Slot } from './slot.ts';
import { Blame } from './suspects.ts';
import { type Boot, type Death, GAUGES, type Threads } from './threads.ts';
import { Watch } from './watch.ts';

export interface SupervisorPlan {
  readonly plan: Plan;
  readonly module: string;
  readonly overrides: Overrides;
  readonly cores: number;
  readonly hosts: number;
  readonly dataDir: string;
  /** Sources with `endsAfter` end after those others. */
  readonly once: boolean;
  readonly positions: Float64Array;
  readonly logLevel: string;
}

export interface SupervisorEvents {
  log: Log;
  /** Written as it comes from threads. */
  record(report: Extract<Report, { type: 'log' }>): void;
  /** Something ended the runtime for good: the exit code will be 1. */
  fatal(error: Error): void;
  /** All sources ended and everything they gave is settled; at the start, where there are none. */
  quiet(): void;
}

/** starting · running · draining (takes nothing more in) · closing · closed */
export type Phase = 'starting' | 'running' | 'draining' | 'closing' | 'closed';

export class Supervisor {
  readonly #config: SupervisorPlan;
  readonly #environment: Environment;
  readonly #threads: Threads;
  readonly #events: SupervisorEvents;
  readonly homes: Homes;
  readonly slots: Slot[] = [];
  readonly main: Host;
  readonly moves: Moves;
  readonly #blame: Blame;
  readonly #lanes: LaneBook;
  phase: Phase = 'starting';
  readonly #sources = new Map<string, SourceSnapshot | null>();
  readonly #tickets = new Map<number, (value: unknown) => void>();
  #ticket = 1;
  readonly #starting: { resolve: () => void; reject: (error: Error) => void }[] = [];
  readonly counts: Counts;
  readonly restarts: Record<string, number> = { crash: 0, killed: 0, stuck: 0, zombie: 0, heap: 0 };
  readonly recoveries: { slot: number; reason: string; ms: number }[] = [];
  readonly stoppedActors = new Map<string, string>();
  readonly #flows: Flows;
  failure: Error | null = null;
  #waiters: (() => void)[] = [];
  readonly #watch: Watch;

  constructor(config: SupervisorPlan, environment: Environment, threads: Threads, events: SupervisorEvents) {
    this.#config = config;
    this.#environment = environment;
    this.#threads = threads;
    this.#events = events;
    const { plan } = config;
    this.#lanes = new LaneBook({
      slots: this.slots,
      threads,
      tell: (slot, command) => this.#tell(slot, command),
      main: command => this.main.command(command),
    });
    this.#flows = new Flows({
      plan,
      log: events.log,
      well: io => this.#broadcast({ type: 'io-well', io }),
      pause: (source, thread, reason) =>
        this.#tell(this.slots[this.firstIoSlot + thread]!, { type: 'pause-source', source, reason }),
      finish: (source, thread) => this.#tell(this.slots[this.firstIoSlot + thread]!, { type: 'finish-source', source }),
      once: config.once,
    });
    const hosts = Array.from({ length: config.hosts }, (_, i) => i + 1);
    this.homes = Homes.create(plan.options.partitions, hosts);
    const batches = plan.actors.reduce((sum, actor) => sum + actor.options.concurrency, 0);
    for (const index of hosts) this.slots[index] = new Slot(index, 'host', batches);
    for (let i = 0; i < plan.ioThreads; i++)
      this.slots[this.firstIoSlot + i] = new Slot(this.firstIoSlot + i, 'io', batches);
    for (const source of plan.sources) this.#sources.set(source.name, null);
    this.counts = new Counts(
      plan.actors.map(actor => actor.name),
      plan.sources.length,
    );
    this.#blame = new Blame(plan.options.quarantineAfter);
    this.main = new Host(
      {
        slot: 0,
        incarnation: 1,
        kind: 'main',
        actors: plan.actors.map(actor => ({
          name: actor.name,
          definition: actor.definition,
          options: actor.options,
          slot: actor.io ? this.firstIoSlot + actor.io.thread : null,
          io: actor.io?.spec ?? null,
        })),
        options: plan.options,
        settings: plan.settings,
        sources: sourceFacts(plan, config.positions),
        homes: this.homes.words,
        ledger: Ledger.create(1),
        gauges: new Int32Array(GAUGES),
        suspects: [],
        quarantined: [],
        deadLetters: plan.actors.findIndex(actor => actor.name === DEAD_LETTERS),
      },
      environment,
      report => this.#reported(null, report),
    );
    this.#watch = new Watch({
      plan,
      environment,
      log: events.log,
      slots: this.slots,
      isClosed: () => this.phase === 'closed',
      kill: (index, reason) => this.kill(index, reason),
      paused: (slot, paused) => this.#broadcast({ type: 'peer-paused', slot: slot.index, paused }, slot),
      fail: error => this.fail(error),
    });
    this.moves = new Moves(
      this.homes,
      environment,
      (slot, partition) => this.#tell(this.slots[slot]!, { type: 'release', partition }),
      () => this.#broadcast({ type: 'homes-changed' }),
    );
  }

  get firstIoSlot(): number {
    return this.#config.hosts + 1;
  }

  /** Starts all threads; resolves when their init hooks are through and the sources run. */
  start(): Promise<void> {
    const started = new Promise<void>((resolve, reject) => this.#starting.push({ resolve, reject }));
    for (const slot of this.slots) if (slot) this.#spawn(slot);
    this.#watch.start();
    return started;
  }

  // ── threads ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #spawn(slot: Slot): void {
    const first = slot.incarnation === 0;
    slot.renew();
    slot.status = 'starting';
    slot.beatAt = this.#environment.clock.now();
    const { incarnation } = slot;
    const boot: Boot = {
      slot: slot.index,
      incarnation,
      kind: slot.kind,
      module: this.#config.module,
      overrides: this.#config.overrides,
      cores: this.#config.cores,
      dataDir: this.#config.dataDir,
      homes: this.homes.words,
      ledger: slot.ledger,
      gauges: slot.gauges,
      positions: this.#config.positions,
      counts: this.counts.renew(slot.index),
      sourceCounts: this.counts.sources,
      finished: [...this.#sources].filter(([, snapshot]) => snapshot !== null).map(([name]) => name),
      suspects: slot.suspects,
      quarantined: this.#blame.quarantined,
      firstIoSlot: this.firstIoSlot,
      first,
      logLevel: this.#config.logLevel,
    };
    const current = (): boolean => slot.incarnation === incarnation;
    slot.handle = this.#threads.spawn(
      boot,
      report => {
        if (current()) this.#reported(slot, report);
      },
      death => {
        if (current()) this.#died(slot, death);
      },
    );
  }

  /** Kills a thread; its replacement follows. */
  kill(index: number, reason: KillReason, blamed?: readonly number[]): void {
    const slot = this.slots[index];
    if (!slot || slot.handle === null || slot.killReason !== null) return;
    if (reason === 'chaos' || reason === 'operator') this.#environment.probe?.('host.killed');
    slot.killReason = reason;
    slot.blamed = blamed;
    slot.handle.kill();
  }

  /** Makes a thread's event loop stand still for a while. */
  stall(index: number, ms: number): void {
    const slot = this.slots[index];
    if (slot) this.#tell(slot, { type: 'stall', ms });
  }

  #died(slot: Slot, death: Death): void {
    const { restart } = this.#config.plan.options;
    const now = this.#environment.clock.now();
    slot.handle = null;
    slot.downAt = now;
    const stopping =
      this.phase === 'closing' || this.phase === 'closed' || slot.killReason === 'stopping' || slot.status === 'closed';
    slot.status = stopping ? 'closed' : 'down';
    this.#lanes.forget(slot.index);
    if (stopping) return this.#wake();
    const reason = slot.killReason ?? 'crash';
    const cause =
      reason === 'crash' || reason === 'failed'
        ? 'crash'
        : reason === 'chaos' || reason === 'operator'
          ? 'killed'
          : reason;
    this.restarts[cause] = (this.restarts[cause] ?? 0) + 1;
    if (reason === 'crash') this.#environment.probe?.('host.crashed');
    if (reason === 'stuck') this.#environment.probe?.('host.stuck');
    this.#blame.assign(slot, reason === 'crash' || reason === 'stuck' || reason === 'zombie');
    this.#broadcast({ type: 'peer-down', slot: slot.index, incarnation: slot.incarnation }, slot);
    this.moves.slotDied(slot.index);
    if (slot.kind === 'io') this.#flows.forget(slot.index - this.firstIoSlot);
    const planned = reason === 'chaos' || reason === 'operator';
    if (!planned) slot.deaths = [...slot.deaths.filter(at => at > now - restart.withinMs), now];
    this.#events.log[planned ? 'info' : 'error'](
      {
        slot: slot.index,
        kind: slot.kind,
        incarnation: slot.incarnation,
        reason: slot.killReason ?? death.reason,
        suspects: slot.suspects.length,
        ...(death.error === undefined ? {} : { err: toWire(death.error) }),
      },
      `${slot.kind} ${slot.index} died (${slot.killReason ?? death.reason})`,
    );
    if (slot.deaths.length > restart.max)
      return this.fail(
        new KeymillError(
          'HOST_LOST',
          `${slot.kind} ${slot.index} died ${slot.deaths.length} times within ${restart.withinMs} ms`,
          { cause: death.error },
        ),
      );
    const delay = planned
      ? 0
      : Math.min(restart.maxDelayMs, restart.delayMs * 2 ** Math.min(20, slot.deaths.length - 1)) *
        (1 - 0.5 * this.#environment.random());
    this.#environment.clock.after(delay, () => {
      if (slot.status === 'down' && this.phase !== 'closing' && this.phase !== 'closed') this.#spawn(slot);
    });
  }

  #becameReachable(slot: Slot): void {
    slot.status = 'booted';
    slot.beatAt = this.#environment.clock.now();
    if (slot.incarnation > 1) {
      this.#environment.probe?.('host.replaced');
      this.#broadcast({ type: 'peer-up', slot: slot.index, incarnation: slot.incarnation }, slot);
    }
    for (const other of this.slots)
      if (other?.paused) this.#tell(slot, { type: 'peer-paused', slot: other.index, paused: true });
    this.#lanes.connectWanted();
  }

  #becameReady(slot: Slot): void {
    slot.status = 'up';
    if (slot.incarnation > 1) {
      const ms = this.#environment.clock.now() - slot.downAt;
      this.recoveries.push({ slot: slot.index, reason: 'replaced', ms });
      this.#events.log.info(
        { slot: slot.index, incarnation: slot.incarnation, recoveryMs: Math.round(ms) },
        `${slot.kind} ${slot.index} is back after ${Math.round(ms)} ms`,
      );
    }
    if (this.phase === 'starting') {
      if (this.slots.every(one => !one || one.status === 'up')) this.#started();
    } else if (this.phase === 'running' && slot.kind === 'io') this.#startSources(slot);
    else if (this.phase === 'draining') {
      this.#tell(slot, { type: 'drain', draining: true });
      if (slot.kind === 'io') this.#resignSources(slot);
    }
    this.#wake();
  }

  #started(): void {
    this.phase = 'running';
    for (const slot of this.slots) if (slot?.kind === 'io') this.#startSources(slot);
    for (const { resolve } of this.#starting.splice(0)) resolve();
    this.#checkQuiet();
  }

  #startSources(slot: Slot): void {
    if (slot.incarnation > 1) this.#environment.probe?.('source.restarted');
    this.#tell(slot, { type: 'start-sources' });
    this.#flows.repeat();
  }

  /** The runtime cannot go on. */
  fail(error: Error): void {
    if (this.failure) return;
    this.failure = error;
    for (const { reject } of this.#starting.splice(0)) reject(error);
    this.#events.fatal(error);
    this.#wake();
  }

  // ── reports ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #reported(slot: Slot | null, report: Report): void {
    switch (report.type) {
      case 'booted':
        return this.#becameReachable(slot!);
      case 'ready':
        return this.#becameReady(slot!);
      case 'failed': {
        const error = fromWire(report.error);
        if (slot && slot.incarnation > 1) {
          this.#events.log.error({ slot: slot.index, err: report.error }, 'a replacement could not start; tried again');
          this.kill(slot.index, 'failed');
        } else this.fail(error);
        return;
      }
      case 'lane-request':
        return this.#lanes.connect(slot?.index ?? 0, report.slot);
      case 'released':
        return this.moves.released(report.partition, slot!.index);
      case 'source-settled':
        this.#sources.set(report.source, report.snapshot);
        this.#flows.sourceSettled(report.source);
        this.#checkQuiet();
        return this.#wake();
      case 'source-failed':
        return this.fail(fromWire(report.error));
      case 'actor-stopped':
        this.stoppedActors.set(report.actor, report.error.message);
        return;
      case 'escalate':
        return this.fail(
          new KeymillError('HOST_LOST', `actor ${report.actor} escalated: ${report.error.message}`, {
            cause: fromWire(report.error),
          }),
        );
      case 'recycle':
        return this.kill(slot!.index, report.reason, report.ledger);
      case 'heap':
        return this.#watch.heap(slot!, report.used, report.limit);
      case 'closed':
        slot!.status = 'closed';
        return this.#wake();
      case 'snapshot':
        this.#answer(report.ticket, report.snapshot);
        return;
      case 'answer':
        return this.#answer(report.ticket, report.value);
      case 'log':
        return this.#events.record(report);
      case 'edge':
        return this.#flows.learn(report.from, report.to);
      case 'breaker':
        return this.#flows.breaker(report.io, report.open);
    }
  }

  #tell(slot: Slot, command: Command): void {
    if (slot.isReachable) slot.handle?.send(command);
  }

  #broadcast(command: Command, except?: Slot): void {
    for (const slot of this.slots) if (slot && slot !== except) this.#tell(slot, command);
    this.main.command(command);
  }

  // ── sources ──────────────────────────────────────────────────────────────────────────────────────────────────────

  get sourcesSettled(): boolean {
    return [...this.#sources.values()].every(snapshot => snapshot !== null);
  }

  get isSettled(): boolean {
    return this.sourcesSettled && this.main.sender.unsettled === 0;
  }

  #checkQuiet(): void {
    if ((this.phase === 'running' || this.phase === 'draining') && this.sourcesSettled) this.#events.quiet();
  }

  /** Resolves when nothing is open any more, of the main thread's neither, and `holds`; or when the runtime is at its end. */
  async settled(holds: () => boolean): Promise<void> {
    await this.#until(() => (this.isSettled && holds()) || this.failure !== null || this.phase === 'closed');
  }

  /** While draining, a replaced I/O thread gives nothing again: what it had given and not settled is its source's again. */
  #resignSources(slot: Slot): void {
    for (const source of this.#config.plan.sources)
      if (this.firstIoSlot + source.thread === slot.index && this.#sources.get(source.name) === null)
        this.fail(
          new KeymillError('DRAIN_ABANDONED', `the thread of source ${source.name} died while draining`, {
            place: { source: source.name },
          }),
        );
  }

  // ── draining (D7) ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Sources stop, mailboxes run empty without waiting for flush times. Resolves when all is settled or `graceMs` is over. */
  async drain(graceMs: number): Promise<boolean> {
    this.#environment.probe?.('drain.started');
    this.phase = 'draining';
    this.#broadcast({ type: 'stop-sources' });
    this.#broadcast({ type: 'drain', draining: true });
    const settled = await this.#until(() => this.isSettled || this.failure !== null, graceMs);
    this.#environment.probe?.('drain.finished');
    return settled && this.isSettled;
  }

  /** Hosts close (onPassivate, close hooks), then I/O threads, which they may still need. */
  async close(ms: number): Promise<void> {
    for (const kind of ['host', 'io'] as const) {
      if (kind === 'io') this.phase = 'closing';
      // A thread that is being replaced has no state worth a hook, and one that comes only now is not waited for.
      const told = this.slots
        .filter(slot => slot?.kind === kind && slot.isReachable)
        .map(slot => ({ slot, incarnation: slot.incarnation }));
      for (const { slot } of told) {
        this.#tell(slot, { type: 'close' });
        slot.killReason ??= 'stopping'; // its end is none that calls for a replacement
      }
      await this.#until(
        () => told.every(({ slot, incarnation }) => !slot.isReachable || slot.incarnation !== incarnation),
        ms,
      );
    }
    this.phase = 'closed';
    this.#wake();
    this.#watch.stop();
    this.main.dispose();
    await this.#threads.close();
  }

  /** Waits for an event after which `holds` is true; false after `ms`, if given. */
  #until(holds: () => boolean, ms?: number): Promise<boolean> {
    if (holds()) return Promise.resolve(true);
    return new Promise(resolve => {
      const finish = (value: boolean): void => {
        timer?.cancel();
        poll.cancel();
        this.#waiters = this.#waiters.filter(waiter => waiter !== look);
        resolve(value);
      };
      const look = (): void => {
        if (holds()) finish(true);
      };
      const timer = ms === undefined ? null : this.#environment.clock.after(ms, () => finish(holds()));
      // Settlements of tells come without a report; a slow look is enough for them.
      const repeat = (): void => {
        poll = this.#environment.clock.after(20, repeat);
        look();
      };
      let poll = this.#environment.clock.after(20, repeat);
      this.#waiters.push(look);
    });
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }

  // ── asking threads ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Snapshots of all threads that answer within a second, the main thread's included. */
  snapshots(): Promise<ThreadSnapshot[]> {
    return this.#askAll<ThreadSnapshot>(ticket => ({ type: 'snapshot', ticket }));
  }

  /** The same of how much waits, which costs them next to nothing; counts are up to date then, too. */
  depths(): Promise<Depths[]> {
    return this.#askAll<Depths>(ticket => ({ type: 'depths', ticket }));
  }

  async #askAll<T>(make: (ticket: number) => Command): Promise<T[]> {
    const asked = this.slots.filter(slot => slot?.isReachable).map(slot => this.#question<T>(slot, make, 1000));
    const answers = await Promise.all(asked);
    return answers.filter(answer => answer !== undefined) as T[];
  }

  async key(actor: string, key: Key, hash: number, action: KeyAction): Promise<unknown> {
    const index = this.main.directory.indexOf(actor as never);
    const home = this.homes.homeOf(hash & this.homes.mask);
    const slot = this.slots[home];
    if (!slot) return undefined;
    return this.#question(slot, ticket => ({ type: 'key', ticket, actor: index, key, action }), 2000);
  }

  #question<T>(slot: Slot, make: (ticket: number) => Command, ms: number): Promise<T | undefined> {
    const ticket = this.#ticket++;
    return new Promise(resolve => {
      const timer = this.#environment.clock.after(ms, () => this.#answer(ticket, undefined));
      this.#tickets.set(ticket, value => {
        timer.cancel();
        resolve(value as T | undefined);
      });
      this.#tell(slot, make(ticket));
    });
  }

  #answer(ticket: number, value: unknown): void {
    this.#tickets.get(ticket)?.(value);
    this.#tickets.delete(ticket);
  }
}
