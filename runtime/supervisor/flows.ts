/** Who was seen to send to whom, which sources an open breaker concerns (D9), and which end after others. */
import { ERRORS } from '../errors.ts';
import { waitingCycle } from '../topology/cycles.ts';
import type { Log } from '../topology/define.ts';
import type { Plan } from '../topology/plan.ts';

interface FlowNeeds {
  readonly plan: Plan;
  readonly log: Log;
  /** An I/O actor is well again. */
  well(io: string): void;
  /** Pauses a source for a reason, or lets it go on with undefined. */
  pause(source: string, thread: number, reason: string | undefined): void;
  /** Nothing more will come than a source can read now. */
  finish(source: string, thread: number): void;
  /** Sources end after those of their `endsAfter`. */
  readonly once: boolean;
}

export class Flows {
  readonly #needs: FlowNeeds;
  /** Edges learned at work, beside those that the options declare. */
  readonly edges = new Map<string, Set<string>>();
  readonly #openBreakers = new Set<string>();
  readonly #settledSources = new Set<string>();

  constructor(needs: FlowNeeds) {
    this.#needs = needs;
  }

  /** A breaker opened or closed. */
  breaker(io: string, open: boolean): void {
    if (open) this.#openBreakers.add(io);
    else {
      this.#openBreakers.delete(io);
      this.#needs.well(io);
    }
    this.#pauseSources(io, open);
  }

  /** Says again which sources are paused: a thread of sources is new, or more is known. */
  repeat(): void {
    for (const io of this.#openBreakers) this.#pauseSources(io, true);
    if (this.#needs.once) this.#finishSources();
  }

  /** A source has ended, and all it gave is settled. */
  sourceSettled(source: string): void {
    this.#settledSources.add(source);
    if (this.#needs.once) this.#finishSources();
  }

  #finishSources(): void {
    for (const { name, thread, options } of this.#needs.plan.sources)
      if (
        options.endsAfter !== undefined &&
        !this.#settledSources.has(name) &&
        options.endsAfter.every(other => this.#settledSources.has(other))
      )
        this.#needs.finish(name, thread);
  }

  /** An actor was seen to send to another. */
  learn(from: string, to: string): void {
    let targets = this.edges.get(from);
    if (!targets) this.edges.set(from, (targets = new Set()));
    if (targets.has(to)) return;
    targets.add(to);
    const { actors } = this.#needs.plan;
    const cycle = waitingCycle(actors, this.edges, from, to);
    if (cycle)
      this.#needs.log.warn(
        { code: 'CYCLE_WAITS', cycle, do: ERRORS.CYCLE_WAITS.todo },
        `${cycle.join(' → ')}: actors that were seen to feed each other in a cycle all wait when full, and may stand still for ever`,
      );
    this.repeat();
  }

  /** The breakers of a dead I/O thread are closed when its replacement opens, and say so to nobody. */
  forget(thread: number): void {
    for (const { name, io } of this.#needs.plan.actors)
      if (io?.thread === thread && this.#openBreakers.delete(name)) this.#pauseSources(name, false);
  }

  /** D9: pauses just the sources whose messages reach an actor that uses this I/O actor. */
  #pauseSources(io: string, open: boolean): void {
    for (const source of this.#needs.plan.sources) {
      const held = [...this.#openBreakers].find(name => this.#reaches(source.to, name));
      const concerned = this.#reaches(source.to, io);
      if (!concerned) continue;
      this.#needs.pause(
        source.name,
        source.thread,
        open || held ? `breaker of ${(open ? io : held)!} is open` : undefined,
      );
    }
  }

  #reaches(actors: readonly string[], io: string): boolean {
    const seen = new Set<string>();
    const open = [...actors];
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      if (seen.has(name)) continue;
      seen.add(name);
      const options = this.#needs.plan.actors.find(actor => actor.name === name)?.options;
      if (options?.uses?.includes(io.slice(3)) || this.edges.get(name)?.has(io)) return true;
      open.push(...(options?.sends ?? []), ...(this.edges.get(name) ?? []));
    }
    return false;
  }
}
