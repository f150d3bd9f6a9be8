/** What a run did, for `--json`, health and tests. Messages and settled count what sources and tells gave; children are in perActor. */
import type { SourceSnapshot, ThreadSnapshot } from './stats.ts';

export interface ActorSummary {
  handled: number;
  batches: number;
  dead: number;
  dropped: number;
  retries: number;
  timeouts: number;
  depth: number;
}

export interface Summary {
  ok: boolean;
  seconds: number;
  messages: number;
  batches: number;
  settled: { done: number; dead: number; dropped: number };
  perActor: Record<string, ActorSummary>;
  threads: number;
  restarts: number;
  /** Messages that went to a thread again after one died, and calls of a handler with a message it had had. */
  repeats: number;
  /** Longest time a thread was missing, ms. */
  longestRecoveryMs: number;
}

export interface Health extends Summary {
  status: 'ok' | 'not ready';
  reasons: string[];
  name: string;
  version: string;
  uptimeSeconds: number;
  phase: string;
}

export interface SummaryParts {
  seconds: number;
  /** Of the threads that live. */
  snapshots: readonly ThreadSnapshot[];
  /** The last of every incarnation ever seen. */
  earlier: readonly ThreadSnapshot[];
  finished: readonly SourceSnapshot[];
  tells: { given: number; done: number; dead: number; dropped: number };
  replayed: number;
  threads: number;
  restarts: number;
  recoveries: readonly number[];
  failed: boolean;
}

export function summarise(parts: SummaryParts): Summary {
  const latest = new Map<string, ThreadSnapshot>();
  for (const snapshot of [...parts.earlier, ...parts.snapshots])
    latest.set(`${snapshot.thread}@${snapshot.incarnation}`, snapshot);
  const living = new Set(parts.snapshots.map(snapshot => `${snapshot.thread}@${snapshot.incarnation}`));
  const perActor: Record<string, ActorSummary> = {};
  let batches = 0;
  let repeats = parts.replayed;
  for (const [name, snapshot] of latest) {
    for (const lane of snapshot.lanes) repeats += lane.replayed;
    for (const [actor, stats] of Object.entries(snapshot.actors)) {
      repeats += stats.repeats;
      if (actor.startsWith('io:')) continue;
      const sum = (perActor[actor] ??= {
        handled: 0,
        batches: 0,
        dead: 0,
        dropped: 0,
        retries: 0,
        timeouts: 0,
        depth: 0,
      });
      batches += stats.batches;
      sum.handled += stats.done;
      sum.batches += stats.batches;
      sum.dead += stats.dead;
      sum.dropped += Object.values(stats.dropped).reduce((all, one) => all + one, 0);
      sum.retries += stats.retries;
      sum.timeouts += stats.timeouts;
      if (living.has(name)) sum.depth += stats.depth;
    }
  }
  const finished = new Set(parts.finished.map(source => source.name));
  const running = parts.snapshots.flatMap(snapshot => snapshot.sources).filter(source => !finished.has(source.name));
  const given = {
    given: parts.tells.given,
    done: parts.tells.done,
    dead: parts.tells.dead,
    dropped: parts.tells.dropped,
  };
  for (const source of [...parts.finished, ...running]) {
    given.given += source.given;
    given.done += source.done;
    given.dead += source.dead;
    given.dropped += source.dropped;
  }
  return {
    ok: !parts.failed,
    seconds: Math.round(parts.seconds * 1000) / 1000,
    messages: given.given,
    batches,
    settled: { done: given.done, dead: given.dead, dropped: given.dropped },
    perActor,
    threads: parts.threads,
    restarts: parts.restarts,
    repeats,
    longestRecoveryMs: Math.round(Math.max(0, ...parts.recoveries)),
  };
}
