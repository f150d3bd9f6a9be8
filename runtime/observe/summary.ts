/** What a run did, for `--json`, health and tests. Messages and settled count what sources and tells gave; children are in perActor. */
import { type Counts, DROP_REASONS } from './counts.ts';
import { redactText } from './log.ts';
import type { Depths, ThreadSnapshot } from './stats.ts';

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

/** A key with messages waiting in its mailbox. */
export interface HotKey {
  actor: string;
  /** Its first 64 characters, with secrets hidden. */
  key: string;
  host: number;
  depth: number;
  /** Age of the message at its front. */
  ageMs: number;
  /** Failures of that message in a row. */
  failures: number;
  state: string;
}

export interface Health extends Summary {
  status: 'ok' | 'not ready';
  reasons: string[];
  name: string;
  version: string;
  uptimeSeconds: number;
  phase: string;
  /** The deepest mailboxes of all, deepest first; at most HOT_KEYS. */
  hotKeys: HotKey[];
}

/** What is in a snapshot of the depths alone. */
export function depthsIn({ actors }: ThreadSnapshot): Depths {
  return Object.fromEntries(Object.entries(actors).map(([actor, { depth }]) => [actor, depth]));
}

const HOT_KEYS = 10;
const KEY_CHARACTERS = 64;

export function hottest(snapshots: readonly ThreadSnapshot[]): HotKey[] {
  return snapshots
    .flatMap(({ thread, actors }) =>
      Object.entries(actors).flatMap(([actor, { hotKeys }]) => hotKeys.map(hot => ({ actor, host: thread, ...hot }))),
    )
    .sort((a, b) => b.depth - a.depth)
    .slice(0, HOT_KEYS)
    .map(({ actor, key, host, depth, ageMs, failures, state }) => {
      const shown = redactText(key.slice(0, KEY_CHARACTERS));
      return { actor, key: shown, host, depth, ageMs: Math.round(ageMs), failures, state };
    });
}

export interface SummaryParts {
  seconds: number;
  /** Of the threads that live. */
  depths: readonly Depths[];
  /** Of all threads, the dead included; taken after the depths. */
  counts: Counts;
  tells: readonly { given: number; done: number; dead: number; dropped: number }[];
  /** By the lanes of the main thread. */
  replayed: number;
  threads: number;
  restarts: number;
  recoveries: readonly number[];
  failed: boolean;
}

export function summarise(parts: SummaryParts): Summary {
  const perActor: Record<string, ActorSummary> = {};
  let batches = 0;
  let repeats = parts.replayed + parts.counts.replayed;
  for (const [actor, counts] of parts.counts.perActor()) {
    repeats += counts.repeats;
    if (actor.startsWith('io:')) continue;
    batches += counts.batches;
    perActor[actor] = {
      handled: counts.done,
      batches: counts.batches,
      dead: counts.dead,
      dropped: DROP_REASONS.reduce((sum, reason) => sum + counts[reason], 0),
      retries: counts.retries,
      timeouts: counts.timeouts,
      depth: parts.depths.reduce((sum, depths) => sum + (depths[actor] ?? 0), 0),
    };
  }
  const sum = { given: 0, done: 0, dead: 0, dropped: 0 };
  for (const part of [parts.counts.given, ...parts.tells]) {
    sum.given += part.given;
    sum.done += part.done;
    sum.dead += part.dead;
    sum.dropped += part.dropped;
  }
  return {
    ok: !parts.failed,
    seconds: Math.round(parts.seconds * 1000) / 1000,
    messages: sum.given,
    batches,
    settled: { done: sum.done, dead: sum.dead, dropped: sum.dropped },
    perActor,
    threads: parts.threads,
    restarts: parts.restarts,
    repeats,
    longestRecoveryMs: Math.round(Math.max(0, ...parts.recoveries)),
  };
}
