/**
 * The running topology as its host service sees it.
 */
import { mkdir } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { systemEnvironment } from './environment.ts';
import { asError, KeymillError, toWire } from './errors.ts';
import type { KeyReport } from './host/inspect.ts';
import { hashKey } from './lanes/key-hash.ts';
import { startHttp } from './observe/http.ts';
import { type LogLevel, mainLog, writeRecord } from './observe/log.ts';
import { MetricsRegistry } from './observe/registry.ts';
import type { Depths } from './observe/stats.ts';
import { depthsIn, type Health, hottest, type Summary, summarise } from './observe/summary.ts';
import { type ChaosOptions, startChaos } from './supervisor/chaos.ts';
import { type DeadLetters, deadLettersOf } from './supervisor/letters.ts';
import { PiscinaThreads } from './supervisor/piscina-threads.ts';
import { Spool, type SpooledTell } from './supervisor/spool.ts';
import { Supervisor } from './supervisor/supervisor.ts';
import { type AskOptions, type TellOptions, Tells } from './supervisor/tells.ts';
import type { Threads } from './supervisor/threads.ts';
import type { ActorEntry, ActorRef, Key, Log, MessageOf, ReplyOf, Topology } from './topology/define.ts';
import { DEAD_LETTERS, makePlan, type Overrides, type Plan } from './topology/plan.ts';

export const VERSION = '0.1.0';

export interface StartOptions {
  /** URL or path of the module whose default export the topology is; default its `module`. */
  module?: string;
  /** Changes to the topology: `{ 'io.out.url': 'file:./out', 'actors.ledger.batch.max': 100 }`. */
  set?: Overrides;
  /** Hosts; default `threads` of the topology, else the cores this process may use. */
  threads?: number;
  /** Sources with `endsAfter` end after those others; `keymill start --once` sets it. */
  once?: boolean;
  /** Folder of the embedded parts, dead letters and spool; default `.keymill/NAME`. */
  dataDir?: string;
  /** Serves /metrics and /health on this port of 127.0.0.1; 0 picks one. */
  port?: number;
  logLevel?: LogLevel | 'silent';
  chaos?: ChaosOptions;
}

export interface StopReport {
  /** Nothing was abandoned and nothing failed. */
  ok: boolean;
  /** Messages of sources that were not settled; their sources give them again. */
  unsettled: number;
  /** Tells written to the spool. */
  spooled: number;
  /** Tells that are lost, because no spool is set or it could not be written. */
  lost: number;
  error?: Error;
}

export interface KeyHandle {
  /** Takes no turns until resumed; what runs ends. */
  pause(): Promise<KeyReport | undefined>;
  resume(): Promise<KeyReport | undefined>;
  inspect(): Promise<KeyReport | undefined>;
  /** Sends the message at its front to the dead letters. */
  skip(): Promise<KeyReport | undefined>;
  /** Ends its back-off. */
  retryNow(): Promise<KeyReport | undefined>;
}

export interface ActorHandle<M, R> {
  tell(message: M, options?: TellOptions): Promise<void>;
  tryTell(message: M, options?: Pick<TellOptions, 'deadlineMs' | 'priority'>): boolean;
  ask(message: M, options?: AskOptions): Promise<R>;
  key(key: Key): KeyHandle;
}

/**
 * Starts a topology and resolves when all its threads are ready. Rejects with CONFIG_INVALID, TOPOLOGY_MISSING,
 * ACTOR_MODULE_MISSING, ACTOR_MODULE_NO_DEFAULT, CYCLE_WAITS, PORT_IN_USE, or what an init hook or driver threw.
 */
export async function start<A extends Record<string, ActorEntry>>(
  topology: Topology<A>,
  options: StartOptions = {},
): Promise<Runtime<A>> {
  if (!isMainThread)
    throw new KeymillError(
      'CONFIG_INVALID',
      'start() was called in a worker thread: a topology needs a module of its own, which starts nothing when it is imported',
    );
  const module = options.module ?? topology.definition.module;
  if (!module)
    throw new KeymillError(
      'CONFIG_INVALID',
      'module: expected import.meta.url of the module that exports the topology, so that threads can load it',
    );
  const cores = availableParallelism();
  const overrides = { ...options.set, ...(options.threads === undefined ? {} : { threads: options.threads }) };
  const plan = await makePlan(topology as unknown as Topology, overrides, cores);
  const hosts = plan.options.threads ?? cores;
  const count = hosts + plan.ioThreads;
  const heapMb =
    plan.options.heap.maxMb ?? Math.max(64, Math.min(4096, Math.floor(totalmem() / 2 ** 20 / (2 * count))));
  const runtime = new Runtime<A>(plan, module, overrides, cores, hosts, new PiscinaThreads(count, heapMb), options);
  try {
    await runtime.begin();
  } catch (error) {
    await runtime.abort();
    throw error;
  }
  return runtime;
}

export class Runtime<A extends Record<string, ActorEntry> = Record<string, ActorEntry>> {
  readonly name: string;
  readonly dataDir: string;
  readonly #plan: Plan;
  readonly #supervisor: Supervisor;
  readonly #tells: Tells;
  /** Tells of the engine's own: of the spool, and replayed dead letters. */
  readonly #retells: Tells;
  readonly #replays: Tells;
  readonly #spool: Spool;
  /** The dead letters: list, show, replay, drop (D3). A replayed one comes back under a new id, as a tell. */
  readonly deadLetters: DeadLetters;
  readonly #options: StartOptions;
  readonly #log: Log;
  readonly #registry = new MetricsRegistry();
  readonly #environment = systemEnvironment();
  readonly #startedAt = performance.now();
  #http: Awaited<ReturnType<typeof startHttp>> | null = null;
  #endChaos: () => void = () => undefined;
  #stopping: Promise<StopReport> | null = null;
  #abandoned: Error | null = null;
  #quiet!: () => void;
  #fatal!: (error: Error) => void;
  readonly #sourcesSettled: Promise<void>;

  /** Use `start`. */
  constructor(
    plan: Plan,
    module: string,
    overrides: Overrides,
    cores: number,
    hosts: number,
    threads: Threads,
    options: StartOptions,
  ) {
    this.name = plan.name;
    this.#plan = plan;
    this.#options = options;
    this.dataDir = resolve(options.dataDir ?? join('.keymill', plan.name));
    const level = options.logLevel ?? 'info';
    const log = level === 'silent' ? SILENT : mainLog({ level, name: plan.name });
    this.#log = log;
    this.#sourcesSettled = new Promise((resolve, reject) => {
      this.#quiet = resolve;
      this.#fatal = reject;
    });
    this.#sourcesSettled.catch(() => undefined);
    this.#supervisor = new Supervisor(
      {
        plan,
        module,
        overrides,
        cores,
        hosts,
        dataDir: this.dataDir,
        once: options.once === true,
        positions: new Float64Array(new SharedArrayBuffer(8 * Math.max(1, plan.sources.length))),
        logLevel: level,
      },
      this.#environment,
      threads,
      {
        log,
        record: report => {
          if (level !== 'silent')
            writeRecord(log, {
              level: report.level,
              fields: report.fields,
              text: report.text,
              time: this.#environment.clock.wall(),
            } as never);
        },
        fatal: error => {
          log.error({ err: toWire(error) }, 'the runtime cannot go on');
          this.#fatal(error);
        },
        quiet: () => this.#quiet(),
      },
    );
    const { main } = this.#supervisor;
    this.#tells = new Tells(main, this.#environment);
    this.#retells = new Tells(main, this.#environment, 'spool');
    this.#replays = new Tells(main, this.#environment, 'replay');
    this.#spool = new Spool(this.dataDir, this.#retells, log);
    this.deadLetters = deadLettersOf(this.io(DEAD_LETTERS.slice(3)), this.#replays);
  }

  /** For `start`. */
  async begin(): Promise<void> {
    for (const warning of this.#plan.warnings) this.#log.warn({}, warning);
    await mkdir(this.dataDir, { recursive: true }).catch((cause: unknown) => {
      throw new KeymillError('OUTPUT_UNWRITABLE', `data folder ${this.dataDir}: ${asError(cause).message}`, { cause });
    });
    if (this.#options.port !== undefined)
      this.#http = await startHttp({
        port: this.#options.port,
        metrics: () => this.metrics(),
        live: () => this.#live(),
        ready: () => this.#ready(),
        health: () => this.health(),
      });
    await this.#supervisor.start();
    for (const tells of this.#ways) tells.open = true;
    await this.#spool.retell();
    if (this.#options.chaos)
      this.#endChaos = startChaos(this.#supervisor, this.#options.chaos, this.#environment, this.#plan.options.stuckMs);
  }

  /** For `start`, when it failed. */
  async abort(): Promise<void> {
    await this.#http?.close();
    await this.#supervisor.close(1000);
  }

  /** Address of /metrics and /health, if a port was asked for. */
  get url(): string | undefined {
    return this.#http?.url;
  }

  /** Resolves when the message is accepted (in memory), or settled with `until: 'settled'`. */
  tell<N extends keyof A & string>(actor: N, message: MessageOf<A[N]>, options?: TellOptions): Promise<void> {
    return this.#tells.tell(actor as ActorRef<never>, message, options);
  }

  /** As `tell`, but never waits: false when there is no room now. */
  tryTell<N extends keyof A & string>(
    actor: N,
    message: MessageOf<A[N]>,
    options?: Pick<TellOptions, 'deadlineMs' | 'priority'>,
  ): boolean {
    return this.#tells.tryTell(actor as ActorRef<never>, message, options);
  }

  /** Resolves with the reply of the handler. Rejects with its error once the message died. */
  ask<N extends keyof A & string>(actor: N, message: MessageOf<A[N]>, options?: AskOptions): Promise<ReplyOf<A[N]>> {
    return this.#tells.ask(actor as ActorRef<never>, message, options) as Promise<ReplyOf<A[N]>>;
  }

  actor<N extends keyof A & string>(name: N): ActorHandle<MessageOf<A[N]>, ReplyOf<A[N]>> {
    return {
      tell: (message, options) => this.tell(name, message, options),
      tryTell: (message, options) => this.tryTell(name, message, options),
      ask: (message, options) => this.ask(name, message, options),
      key: key => this.key(name, key),
    };
  }

  /** One key, live (D8). */
  key(actor: keyof A & string, key: Key): KeyHandle {
    const act = (action: 'pause' | 'resume' | 'inspect' | 'skip' | 'retryNow') => async () =>
      (await this.#supervisor.key(actor, key, hashKey(key), action)) as KeyReport | undefined;
    return {
      pause: act('pause'),
      resume: act('resume'),
      inspect: act('inspect'),
      skip: act('skip'),
      retryNow: act('retryNow'),
    };
  }

  get #ways(): readonly Tells[] {
    return [this.#tells, this.#retells, this.#replays];
  }

  /** The client of an I/O actor. Throws IO_UNKNOWN. */
  io<C>(name: string): C {
    return this.#supervisor.main.outgoing.io(name, null) as C;
  }

  /**
   * Resolves when all sources have ended and everything they, tells and asks gave is settled: without sources as soon as
   * no tell is open. Rejects when the runtime cannot go on, or was stopped with something abandoned.
   */
  async settled(): Promise<void> {
    await this.#sourcesSettled;
    await this.#supervisor.settled(() => this.#ways.every(tells => tells.waiting === 0));
    const error = this.#supervisor.failure ?? this.#abandoned;
    if (error) throw error;
  }

  async health(): Promise<Health> {
    const { ok, reasons } = this.#ready();
    const snapshots = await this.#supervisor.snapshots();
    return {
      status: ok ? 'ok' : 'not ready',
      reasons,
      name: this.name,
      version: VERSION,
      uptimeSeconds: Math.round((performance.now() - this.#startedAt) / 1000),
      phase: this.#supervisor.phase,
      ...this.#summary(snapshots.map(depthsIn)),
      hotKeys: hottest(snapshots),
    };
  }

  /** Prometheus text. */
  async metrics(): Promise<string> {
    const snapshots = [...(await this.#supervisor.snapshots()), this.#mainSnapshot()];
    this.#registry.update(
      snapshots,
      { ready: this.#ready().ok, hostRestarts: this.#supervisor.restarts, version: VERSION },
      this.#environment.clock.now(),
    );
    return this.#registry.text();
  }

  /** What was done so far, over all threads and incarnations. */
  async summary(): Promise<Summary> {
    return this.#summary(await this.#supervisor.depths());
  }

  #summary(depths: readonly Depths[]): Summary {
    return summarise({
      seconds: (performance.now() - this.#startedAt) / 1000,
      depths,
      counts: this.#supervisor.counts,
      tells: this.#ways.map(tells => tells.counts),
      replayed: this.#mainSnapshot().lanes.reduce((sum, lane) => sum + lane.replayed, 0),
      threads: this.#supervisor.slots.filter(slot => slot?.kind === 'host').length,
      restarts: Object.values(this.#supervisor.restarts).reduce((sum, one) => sum + one, 0),
      recoveries: this.#supervisor.recoveries.map(one => one.ms),
      failed: this.#supervisor.failure !== null,
    });
  }

  /** Drains and ends: sources stop, mailboxes empty, sinks flush, all settles; then everything is closed. Idempotent. */
  stop(options: { graceMs?: number } = {}): Promise<StopReport> {
    this.#stopping ??= this.#stop(options.graceMs ?? this.#plan.options.graceMs);
    return this.#stopping;
  }

  async #stop(graceMs: number): Promise<StopReport> {
    const began = performance.now();
    this.#endChaos();
    for (const tells of this.#ways) tells.open = false;
    const supervisor = this.#supervisor;
    const settled = await supervisor.drain(graceMs);
    const report: StopReport = { ok: settled, unsettled: 0, spooled: 0, lost: 0 };
    if (!settled) {
      const snapshots = await supervisor.snapshots();
      report.unsettled = snapshots
        .flatMap(snapshot => snapshot.sources)
        .reduce((sum, source) => sum + source.unsettled, 0);
      await this.#abandon(report);
      report.error =
        supervisor.failure ??
        new KeymillError(
          'DRAIN_ABANDONED',
          `${report.unsettled} messages of sources and ${report.spooled + report.lost} tells were not settled within ${graceMs} ms (${report.spooled} spooled, ${report.lost} lost)`,
        );
      this.#abandoned = report.error;
      this.#fatal(report.error);
    }
    for (const tells of this.#ways) tells.close();
    if (settled) await this.#abandon(report);
    this.#finalSummary = { ...(await this.summary()), ...(settled ? await this.#ownSummary(report) : {}) };
    await supervisor.close(settled ? Math.max(5000, graceMs - (performance.now() - began)) : 2000);
    await this.#http?.close();
    if (supervisor.failure) {
      report.ok = false;
      report.error = supervisor.failure;
    }
    return report;
  }

  /** What the topology itself has to say at the end. */
  async #ownSummary(report: StopReport): Promise<Record<string, unknown>> {
    const { summary, settings } = this.#plan;
    if (!summary) return {};
    try {
      await this.metrics();
      return await summary({ io: name => this.io(name), settings, observed: this.#registry.observed() });
    } catch (error) {
      report.ok = false;
      report.error ??= asError(error);
      return {};
    }
  }

  #finalSummary: (Summary & Record<string, unknown>) | undefined;
  /** The summary as it was when everything had been settled, after `stop`. */
  get finalSummary(): (Summary & Record<string, unknown>) | undefined {
    return this.#finalSummary;
  }

  /** Spools what is left of tells, if anything is. */
  async #abandon(report: StopReport): Promise<void> {
    const tells: SpooledTell[] = [];
    const { main } = this.#supervisor;
    main.sender.eachUnsettled((message, owner) => {
      if (owner === this.#tells)
        tells.push({ actor: main.plan.actors[message.actor]!.name, key: message.key, message: message.body });
    });
    const isOn = this.#plan.options.spool;
    if (!isOn) report.lost = tells.length;
    try {
      report.spooled = await this.#spool.close(isOn ? tells : []);
    } catch (error) {
      report.lost = tells.length;
      this.#log.error({ err: toWire(error), lost: report.lost }, 'tells were not spooled');
    }
    if (!isOn && tells.length > 0) this.#log.error({ lost: tells.length }, 'tells are lost: the spool is off');
  }

  #live(): { ok: boolean } {
    return { ok: this.#supervisor.failure === null };
  }

  #ready(): { ok: boolean; reasons: string[] } {
    const { phase, failure, slots, stoppedActors } = this.#supervisor;
    const reasons: string[] = [];
    if (failure) reasons.push(failure.message);
    if (phase !== 'running') reasons.push(`phase is ${phase}`);
    for (const slot of slots)
      if (slot && slot.status !== 'up') reasons.push(`${slot.kind} ${slot.index} is ${slot.status}`);
    for (const [actor, why] of stoppedActors) reasons.push(`actor ${actor} stopped: ${why}`);
    return { ok: reasons.length === 0, reasons };
  }

  #mainSnapshot(): Parameters<MetricsRegistry['update']>[0][number] {
    const memory = process.memoryUsage();
    return {
      thread: 0,
      kind: 'main',
      incarnation: 1,
      actors: {},
      sources: [],
      lanes: this.#supervisor.main.sender.snapshots(),
      policies: [],
      ios: [],
      ...this.#supervisor.main.backlog,
      heapUsed: memory.heapUsed,
      heapLimit: memory.heapTotal,
      loopUtilization: performance.eventLoopUtilization().utilization,
      cpuSeconds: 0,
      gcScavenges: 0,
      gcMarkSweeps: 0,
    };
  }
}

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
