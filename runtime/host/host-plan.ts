/** What a host is told when it starts. */

import type { IoSpec } from '../io/contract.ts';
import type { Target } from '../lanes/lane.ts';
import type { AnyDefinition, Position, Settings } from '../topology/define.ts';
import type { ActorOptions, RuntimeOptions } from '../topology/options.ts';
import type { Plan } from '../topology/plan.ts';
import type { Quarantined, Suspect } from './control.ts';

/** An actor as every thread knows it; `io` for I/O actors, which live on one thread. */
export interface ActorPlan {
  readonly name: string;
  readonly definition: AnyDefinition;
  readonly options: ActorOptions;
  /** The thread of an I/O actor; null for actors on the hosts. */
  readonly slot: number | null;
  readonly io: IoSpec | null;
}

export interface HostPlan {
  readonly slot: number;
  readonly incarnation: number;
  readonly kind: 'main' | 'host' | 'io';
  readonly actors: readonly ActorPlan[];
  readonly options: RuntimeOptions;
  readonly settings: Settings;
  readonly sources: SourceFacts;
  readonly homes: Int32Array;
  readonly ledger: Int32Array;
  /** Shared words the supervisor watches, see supervisor/threads.ts. */
  readonly gauges: Int32Array;
  readonly suspects: readonly Suspect[];
  readonly quarantined: readonly Quarantined[];
  /** Index of the actor that stores dead letters. */
  readonly deadLetters: number;
}

/** What a thread knows of the sources of the topology. */
export interface SourceFacts {
  /** The position below which nothing comes again; undefined where there is none, or no such source. */
  lowOf(source: string): Position | undefined;
  /** Its messages to one actor come in the order of positions, which name the same messages for ever. */
  isOrdered(source: string): boolean;
}

/** What is parked is settled for its source, and may come again out of the park. */
export function sourceFacts(
  { sources, actors }: Pick<Plan, 'sources' | 'actors'>,
  positions: Float64Array,
): SourceFacts {
  const parks = actors.some(actor => actor.options.onKeyFull === 'park');
  const indexes = new Map(sources.map(({ name }, index) => [name, index]));
  return {
    lowOf(source) {
      const index = indexes.get(source);
      return index === undefined || parks ? undefined : positions[index];
    },
    isOrdered(source) {
      const found = sources[indexes.get(source) ?? -1];
      return (
        found !== undefined && found.to.length === 1 && found.traits?.ordered === true && found.traits.stable !== false
      );
    },
  };
}

/** The actors as the sender of this thread sees them. */
export function targetsOf(plan: HostPlan): Target[] {
  const leastUrgent = Math.max(...plan.actors.map(actor => actor.options.priority));
  return plan.actors.map(actor => ({
    name: actor.name,
    slot: actor.slot,
    windowMessages: plan.options.window.messages,
    windowBytes: plan.options.window.bytes,
    maxMessageBytes: actor.options.maxMessageBytes,
    mayWait: actor.definition.handle !== undefined && actor.options.priority === leastUrgent,
  }));
}
