/**
 * Messages of a sender that wait for their place: for room in a window, one queue per lane and actor, or for a key that
 * its receiver holds, one queue per lane, actor and key. Their order is that of sending.
 */
import type { Key } from '../topology/define.ts';
import type { Envelope } from './envelope.ts';
import type { Lane } from './lane.ts';
import type { Owner } from './port.ts';

/** A message that waits for its place. Setting `cancelled` works until it was accepted. */
export interface Waiting {
  readonly message: Envelope;
  readonly owner: Owner | null;
  readonly token: number;
  readonly accepted: (() => void) | null;
  /** Told when the message cannot be packed after all. */
  readonly failed: ((error: unknown) => void) | null;
  cancelled: boolean;
}

export class WaitingQueues {
  readonly #room = new Map<Lane, Map<number, Waiting[]>>();
  readonly #held = new Map<Lane, Map<number, Map<Key, Waiting[]>>>();

  /** The queue for room, if there is one: whoever comes now stands behind it. */
  forRoom(lane: Lane, actor: number): Waiting[] | undefined {
    return this.#room.size === 0 ? undefined : this.#room.get(lane)?.get(actor);
  }

  /** The queues for room of a lane, by actor, as they are now. */
  forRoomOf(lane: Lane): [actor: number, queue: Waiting[]][] {
    return [...(this.#room.get(lane) ?? [])];
  }

  pushForRoom(lane: Lane, entry: Waiting): void {
    this.#roomQueue(lane, entry.message.actor).push(entry);
  }

  /** Forgets a queue for room that is empty and still the current one. */
  dropIfEmpty(lane: Lane, actor: number, queue: Waiting[]): void {
    const queues = this.#room.get(lane);
    if (queue.length === 0 && queues?.get(actor) === queue) queues.delete(actor);
    if (queues?.size === 0) this.#room.delete(lane);
  }

  pushHeld(lane: Lane, entry: Waiting): void {
    const { actor, key } = entry.message;
    let actors = this.#held.get(lane);
    if (!actors) this.#held.set(lane, (actors = new Map()));
    let keys = actors.get(actor);
    if (!keys) actors.set(actor, (keys = new Map()));
    const queue = keys.get(key);
    if (queue) queue.push(entry);
    else keys.set(key, [entry]);
  }

  heldFor(lane: Lane, actor: number, key: Key): Waiting[] | undefined {
    return this.#held.get(lane)?.get(actor)?.get(key);
  }

  /** The key is free: what waited for it came before all that waits for room, so it goes to the front of that. */
  rejoin(lane: Lane, actor: number, key: Key): void {
    const keys = this.#held.get(lane)?.get(actor);
    const queue = keys?.get(key);
    if (!queue) return;
    keys!.delete(key);
    this.#prepend(lane, actor, queue);
  }

  /** As `rejoin`, for all keys of a lane. */
  rejoinAll(lane: Lane): void {
    const actors = this.#held.get(lane);
    this.#held.delete(lane);
    if (actors) for (const [actor, keys] of actors) this.#prepend(lane, actor, [...keys.values()].flat());
  }

  /** Takes out what `isMine` says, in order. Queues stay the same arrays for whoever walks them. */
  extract(isMine: (message: Envelope) => boolean, into: Waiting[]): void {
    const take = (queue: Waiting[]): Waiting[] =>
      queue.filter(entry => {
        const mine = isMine(entry.message);
        if (mine) into.push(entry);
        return !mine;
      });
    for (const actors of this.#held.values())
      for (const keys of actors.values())
        for (const [key, queue] of [...keys]) {
          const rest = take(queue);
          if (rest.length > 0) keys.set(key, rest);
          else keys.delete(key);
        }
    for (const actors of this.#room.values())
      for (const queue of actors.values()) {
        const rest = take(queue);
        queue.length = 0;
        for (const entry of rest) queue.push(entry);
      }
  }

  all(): Waiting[] {
    const rooms = [...this.#room.values()].flatMap(actors => [...actors.values()]);
    const held = [...this.#held.values()].flatMap(actors => [...actors.values()].flatMap(keys => [...keys.values()]));
    return [...rooms, ...held].flat();
  }

  #prepend(lane: Lane, actor: number, entries: Waiting[]): void {
    const later = this.#roomQueue(lane, actor);
    this.#room.get(lane)!.set(actor, entries.concat(later));
  }

  #roomQueue(lane: Lane, actor: number): Waiting[] {
    let queues = this.#room.get(lane);
    if (!queues) this.#room.set(lane, (queues = new Map()));
    let queue = queues.get(actor);
    if (!queue) queues.set(actor, (queue = []));
    return queue;
  }
}
