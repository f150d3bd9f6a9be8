/**
 * Rule 8: actors that feed each other in a cycle must not all wait for one another. What `sends` declares is looked at
 * before the start; what is learned at work, while it is learned.
 */
import { KeymillError } from '../errors.ts';
import type { ActorOptions } from './options.ts';

interface Sender {
  readonly name: string;
  readonly options: ActorOptions;
}

/** Who was seen to send to whom. */
export type Learned = ReadonlyMap<string, ReadonlySet<string>>;

/** Throws CYCLE_WAITS with a cycle of actors that declare it and all wait. */
export function refuseWaitingCycles(actors: readonly Sender[]): void {
  for (const { name, options } of actors)
    for (const target of options.sends ?? []) {
      const cycle = waitingCycle(actors, new Map(), name, target);
      if (cycle) throw new KeymillError('CYCLE_WAITS', cycle.join(' → '), { place: { actor: name } });
    }
}

/** The shortest cycle that begins with this edge and in which every actor waits when full: from, to, …, from. */
export function waitingCycle(
  actors: readonly Sender[],
  learned: Learned,
  from: string,
  to: string,
): readonly string[] | undefined {
  // Who does not wait breaks every cycle it is in.
  const waiting = new Map(actors.filter(({ options }) => waits(options)).map(actor => [actor.name, actor]));
  if (!waiting.has(from) || !waiting.has(to)) return undefined;
  const ways: string[][] = [[from, to]];
  const seen = new Set<string>();
  for (const way of ways) {
    const last = way.at(-1)!;
    if (last === from) return way;
    if (seen.has(last)) continue;
    seen.add(last);
    const targets = new Set([...(waiting.get(last)!.options.sends ?? []), ...(learned.get(last) ?? [])]);
    for (const next of targets) if (waiting.has(next)) ways.push([...way, next]);
  }
  return undefined;
}

function waits({ mailbox, onKeyFull }: ActorOptions): boolean {
  return (mailbox.full === 'Wait' || !mailbox.allowLoss) && onKeyFull === 'stall';
}
