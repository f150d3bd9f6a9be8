/**
 * The epoch of the store, as this driver knows it: raised whenever a master is met for which it was not made. A master is
 * known by its replication id, which is another after each start and each promotion. What is born after writes were lost is
 * thereby above everything that any reader saw before.
 */
import type { Script } from './scripts.ts';

/** Calls the script with these arguments on the server that has the record. */
type CallEpoch = (args: readonly string[]) => Promise<unknown>;

export class Epochs {
  readonly script: Script;
  epoch = 0;
  first = 0;
  masters = '';
  #refreshing: Promise<void> = Promise.resolve();

  constructor(script: Script) {
    this.script = script;
  }

  /** `ids`: of masters there are now. */
  refresh(call: CallEpoch, ids: readonly string[]): Promise<void> {
    const next = this.#refreshing.then(async () => {
      const reply = await call([String(this.epoch), String(this.first), ...ids]);
      const [epoch, first, masters] = reply as [number, number, Buffer];
      this.epoch = epoch;
      this.first = first;
      this.masters = masters.toString();
    });
    this.#refreshing = next.catch(() => {});
    return next;
  }
}

/** In what INFO says of replication. */
export function masterIdIn(info: string): string {
  return /master_replid:(\w+)/.exec(info)?.[1] ?? '';
}
