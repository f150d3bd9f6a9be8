/**
 * Several replicas may share a source by a key of its own (Pulsar's Key_Shared): a key then goes to one of them at a time. The
 * order of an actor's key holds over all of them only where it is that very key (DESIGN rule 15); where not, this says so, once.
 */
import type { Log } from '../topology/define.ts';

export class SharedKeys {
  readonly #source: string;
  readonly #log: Log;
  #hasWarned = false;

  constructor(source: string, log: Log) {
    this.#source = source;
    this.#log = log;
  }

  /** `sharedBy`: the source's key of a record, undefined where it shares nothing. `keys`: the actors' for its message. */
  check(sharedBy: string | null | undefined, keys: readonly unknown[]): void {
    if (sharedBy === undefined || this.#hasWarned) return;
    const key = keys.find(one => String(one) !== sharedBy);
    if (key === undefined) return;
    this.#hasWarned = true;
    this.#log.warn(
      { source: this.#source, key: String(key).slice(0, 64), sharedBy: sharedBy?.slice(0, 64) ?? null },
      'the key of the actor is not the key by which replicas share this source: with more than one replica the order of a key does not hold; make them the same, or publish the messages anew under the key of the actor',
    );
  }
}
