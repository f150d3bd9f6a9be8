/**
 * One thread of a topology, host or I/O: its Host, and for I/O threads the resources and sources. Independent of how
 * threads are made, so that the simulation runs it as it is; entry.ts runs it in a worker.
 */
import type { Environment, Timer } from '../environment.ts';
import { asError, KeymillError, toWire } from '../errors.ts';
import { SOURCE_WORDS, wordsOf } from '../observe/counts.ts';
import type { ThreadSnapshot } from '../observe/stats.ts';
import type { Log } from '../topology/define.ts';
import { CHECKPOINT_NEEDS, DEAD_LETTERS, PARK, type Plan, type PlannedSource } from '../topology/plan.ts';
import { Checkpoint } from './checkpoint.ts';
import { inFile, inStore } from './checkpoint-place.ts';
import type { Command, Quarantined, Report, Suspect } from './control.ts';
import { Host } from './host.ts';
import { type ActorPlan, sourceFacts } from './host-plan.ts';
import { depthsOf } from './inspect.ts';
import { IoActor } from './io-actor.ts';
import type { ParkStore } from './parking.ts';
import { SourceRunner } from './source-runner.ts';
import { storeOf } from './states.ts';
import { userSource } from './user-source.ts';

/** What a thread is told at its start, of what it needs once its plan is loaded (supervisor/threads.ts has the rest). */
export interface ThreadBoot {
  readonly slot: number;
  readonly incarnation: number;
  readonly kind: 'host' | 'io';
  readonly dataDir: string;
  readonly homes: Int32Array;
  readonly ledger: Int32Array;
  readonly gauges: Int32Array;
  /** Position below which each source settled, by the order of the plan's sources; written by the I/O threads. */
  readonly positions: Float64Array;
  /** What this thread counts, and what the sources do (observe/counts.ts). */
  readonly counts: Float64Array;
  readonly sourceCounts: Float64Array;
  /** Sources that ended already and are not started again. */
  readonly finished: readonly string[];
  readonly suspects: readonly Suspect[];
  readonly quarantined: readonly Quarantined[];
  /** Slot of I/O thread 0; host slots are 1 … hosts. */
  readonly firstIoSlot: number;
  /** False when this thread replaces one that died. */
  readonly first: boolean;
}

/** What only a real thread can do. */
export interface ThreadPowers {
  readonly threadId: number;
  /** Process figures of this thread for its snapshot. */
  measure(): Pick<
    ThreadSnapshot,
    'heapUsed' | 'heapLimit' | 'loopUtilization' | 'cpuSeconds' | 'gcScavenges' | 'gcMarkSweeps'
  >;
  /** Stands still. */
  stall(ms: number): void;
  /** Leaves the thread, after it reported `closed`. */
  exit(): void;
}

export class Thread {
  readonly host: Host;
  readonly #boot: ThreadBoot;
  readonly #plan: Plan;
  readonly #environment: Environment;
  readonly #report: (report: Report) => void;
  readonly #powers: ThreadPowers;
  readonly #ios: IoActor[] = [];
  readonly #runners: SourceRunner[] = [];
  readonly #checkpoints = new Map<string, Checkpoint>();
  #beats: Timer | null = null;
  #beat = 0;
  #stopping = false;

  constructor(
    boot: ThreadBoot,
    plan: Plan,
    environment: Environment,
    report: (report: Report) => void,
    powers: ThreadPowers,
  ) {
    this.#boot = boot;
    this.#plan = plan;
    this.#environment = environment;
    this.#report = report;
    this.#powers = powers;
    const actors: ActorPlan[] = plan.actors.map(actor => {
      const slot = actor.io ? boot.firstIoSlot + actor.io.thread : null;
      let { definition } = actor;
      if (actor.io && slot === boot.slot) {
        const name = actor.name.slice(3);
        const io = new IoActor(
          name,
          actor.io.spec,
          {
            name,
            dataDir: boot.dataDir,
            first: boot.first,
            reads: plan.sources.some(source => 'io' in source.from && source.from.io === name),
            environment,
            log: this.#logOf(actor.name),
            io: other => this.#clientOf(other),
          },
          open => report({ type: 'breaker', io: actor.name, open }),
        );
        this.#ios.push(io);
        definition = io.definition;
      }
      return { name: actor.name, definition, options: actor.options, slot, io: actor.io?.spec ?? null };
    });
    const parkAt = actors.findIndex(actor => actor.name === PARK);
    const store: ParkStore | null =
      parkAt < 0 ? null : (actors[parkAt]!.io!.client(op => this.host.outgoing.askIo(parkAt, op, null)) as ParkStore);
    this.host = new Host(
      {
        slot: boot.slot,
        incarnation: boot.incarnation,
        kind: boot.kind,
        actors,
        options: plan.options,
        settings: plan.settings,
        sources: sourceFacts(plan, boot.positions),
        homes: boot.homes,
        ledger: boot.ledger,
        gauges: boot.gauges,
        suspects: boot.suspects,
        quarantined: boot.quarantined,
        deadLetters: actors.findIndex(actor => actor.name === DEAD_LETTERS),
      },
      environment,
      report,
      store,
    );
    this.host.cells.forEach((cell, index) => cell?.stats.keepIn(wordsOf(boot.counts, index)));
  }

  /** Opens resources, runs init hooks, reports `ready`. */
  async start(): Promise<void> {
    this.#pulse();
    this.#report({ type: 'booted', threadId: this.#powers.threadId });
    try {
      for (const io of this.#ios) await io.open(this.#environment);
      await this.host.start();
      await this.#openCheckpoints(); // which may ask an I/O actor of this very thread
      if (!this.#stopping) this.#report({ type: 'ready' });
    } catch (error) {
      this.#report({ type: 'failed', error: toWire(asError(error)) });
    }
  }

  command(command: Command): void {
    switch (command.type) {
      case 'start-sources':
        return this.#startSources();
      case 'stop-sources':
        for (const runner of this.#runners) runner.stop();
        for (const io of this.#ios) io.resource?.drain?.();
        return;
      case 'pause-source':
        this.#runners.find(runner => runner.name === command.source)?.pause(command.reason);
        return;
      case 'finish-source':
        this.#runners.find(runner => runner.name === command.source)?.finish();
        return;
      case 'snapshot':
        return this.#report({ type: 'snapshot', ticket: command.ticket, snapshot: this.#snapshot() });
      case 'depths':
        this.#keepReplayed();
        return this.#report({ type: 'answer', ticket: command.ticket, value: depthsOf(this.host.cells) });
      case 'stall':
        return this.#powers.stall(command.ms);
      case 'close':
        void this.#close();
        return;
      default:
        this.host.command(command);
    }
  }

  #isHere(source: PlannedSource): boolean {
    return this.#boot.firstIoSlot + source.thread === this.#boot.slot;
  }

  /** Where an earlier process stood; an earlier incarnation of this thread may have come further. */
  async #openCheckpoints(): Promise<void> {
    for (const [index, source] of this.#plan.sources.entries()) {
      if (!source.options.checkpoint || !this.#isHere(source)) continue;
      const { checkpoint: where } = source.options;
      const checkpoint = await Checkpoint.open(
        typeof where === 'string'
          ? inStore(storeOf(this.host, where), where, source.name)
          : inFile(this.#boot.dataDir, source.name),
        source.name,
        this.#environment,
        this.#logOf(source.name),
      );
      this.#checkpoints.set(source.name, checkpoint);
      this.#boot.positions[index] = Math.max(this.#boot.positions[index]!, checkpoint.low);
    }
  }

  #startSources(): void {
    this.#plan.sources.forEach((source, index) => {
      if (
        !this.#isHere(source) ||
        this.#boot.finished.includes(source.name) ||
        this.#runners.some(runner => runner.name === source.name)
      )
        return;
      this.#startSource(source, index);
    });
  }

  #startSource(source: PlannedSource, index: number): void {
    const log = this.#logOf(source.name);
    let runner: SourceRunner;
    const failed = (error: Error): void =>
      this.#report({ type: 'source-failed', source: source.name, error: toWire(error) });
    try {
      const half =
        'io' in source.from
          ? this.#sourceOf(source.from.io, source.from.read)
          : 'half' in source.from
            ? source.from.half()
            : userSource(
                source.name,
                source.from.source.definition as never,
                source.options,
                this.#environment,
                log,
                this.#plan.settings,
              );
      const checkpoint = this.#checkpoints.get(source.name);
      if (checkpoint && !(half.traits.replayable && half.traits.ordered))
        throw new KeymillError('CONFIG_INVALID', `sources.${source.name}.checkpoint: ${CHECKPOINT_NEEDS}`, {
          place: { source: source.name },
        });
      if (checkpoint && half.keepsPosition)
        throw new KeymillError(
          'CONFIG_INVALID',
          `sources.${source.name}.checkpoint: this source keeps its position where its replicas find it; leave checkpoint out`,
          { place: { source: source.name } },
        );
      checkpoint?.follow(half);
      runner = new SourceRunner(
        {
          name: source.name,
          half,
          map: source.map,
          targets: source.to.map(name => {
            const at = this.host.directory.indexOf(name);
            return { index: at, name, definition: this.host.plan.actors[at]!.definition };
          }),
          options: source.options,
          from: this.#boot.positions[index]!,
          mark:
            checkpoint && (checkpoint.low > 0 || checkpoint.mark !== undefined)
              ? { of: checkpoint.mark, path: checkpoint.path }
              : null,
        },
        {
          environment: this.#environment,
          sender: this.host.sender,
          log,
          counts: this.#boot.sourceCounts.subarray(index * SOURCE_WORDS, (index + 1) * SOURCE_WORDS),
          bury: (letter, written) => this.host.troubles.bury(letter, written),
          settledBelow: low => {
            this.#boot.positions[index] = low;
            checkpoint?.note(low);
          },
          ended: given => this.#report({ type: 'source-ended', source: source.name, given }),
          finished: () => this.#report({ type: 'source-settled', source: source.name, snapshot: runner.snapshot() }),
          failed,
        },
      );
    } catch (error) {
      return failed(asError(error));
    }
    this.#runners.push(runner);
    runner.start();
  }

  #clientOf<C>(name: string): C {
    const index = this.#plan.actors.findIndex(actor => actor.name === `io:${name}`);
    const actor = this.#plan.actors[index];
    if (!actor?.io)
      throw new KeymillError('CONFIG_INVALID', `there is no I/O actor ${JSON.stringify(name)}`, {
        place: { at: name },
      });
    return actor.io.spec.client(op => this.host.outgoing.askIo(index, op, null)) as C;
  }

  #sourceOf(io: string, read: Record<string, unknown>): ReturnType<NonNullable<IoActor['resource']['source']>> {
    const actor = this.#ios.find(one => one.name === io)!;
    if (!actor.resource.source)
      throw new KeymillError('CONFIG_INVALID', `io.${io} cannot be read from`, { place: { source: io } });
    return actor.resource.source(read);
  }

  /** Shows that the event loop turns, and how much must still run alone. */
  #pulse(): void {
    const every = Math.min(250, Math.max(10, this.#plan.options.stuckMs / 10));
    Atomics.store(this.#boot.gauges, 0, ++this.#beat);
    this.#keepReplayed();
    this.#beats = this.#environment.clock.after(every, () => {
      const { heapUsed, heapLimit } = this.#powers.measure();
      if (this.#beat % 4 === 0 && heapLimit > 0) this.#report({ type: 'heap', used: heapUsed, limit: heapLimit });
      this.#pulse();
    });
  }

  #keepReplayed(): void {
    const { counts } = this.#boot;
    counts[counts.length - 1] = this.host.sender.snapshots().reduce((sum, lane) => sum + lane.replayed, 0);
  }

  async #close(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    for (const runner of this.#runners)
      await runner
        .close()
        .catch((error: unknown) => this.#logOf(runner.name).error({ err: toWire(error) }, 'the source did not close'));
    await this.host.close();
    for (const checkpoint of this.#checkpoints.values()) await checkpoint.save();
    for (const io of this.#ios)
      await io
        .close()
        .catch((error: unknown) => this.#logOf(io.name).error({ err: toWire(error) }, 'the I/O actor did not close'));
    this.#beats?.cancel();
    this.host.dispose();
    this.#report({ type: 'closed' });
    this.#powers.exit();
  }

  #snapshot(): ThreadSnapshot {
    this.#keepReplayed();
    return {
      thread: this.#boot.slot,
      kind: this.#boot.kind,
      incarnation: this.#boot.incarnation,
      actors: this.host.snapshotActors(),
      sources: this.#runners.map(runner => runner.snapshot()),
      lanes: this.host.sender.snapshots(),
      policies: this.#ios.flatMap(io => io.policy?.snapshot() ?? []),
      ios: this.#ios.flatMap(({ name, resource }) =>
        resource?.metrics ? [{ name, metrics: resource.metrics() }] : [],
      ),
      ...this.host.backlog,
      ...this.#powers.measure(),
    };
  }

  #logOf(name: string): Log {
    const write = (level: 'debug' | 'info' | 'warn' | 'error') => (fields: Record<string, unknown>, text: string) =>
      this.#report({ type: 'log', level, fields: { name, thread: this.#boot.slot, ...fields }, text });
    return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  }
}
