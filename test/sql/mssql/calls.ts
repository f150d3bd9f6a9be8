/** What the server of a test sees of calls for changes: how many tables each is about, and which of them a step belongs to. */
import type { MssqlServer, Step } from '../../support/tds/database/index.ts';

export class Calls {
  /** Tables of each call, in the order in which they began. */
  readonly tables: number[] = [];
  /** Calls by session: the place in `tables`. */
  readonly #of = new Map<number, number>();

  constructor(server: MssqlServer) {
    // It only looks on: what it is told of goes on to others.
    server.at(
      step => {
        this.#note(step);
        return false;
      },
      () => undefined,
    );
  }

  /** Which table of its call the step is about, from 0. */
  place({ spid }: Step): number {
    return (this.tables[this.#of.get(spid)!] ?? 0) - 1;
  }

  #note({ name, text, spid }: Step): void {
    if (name !== 'changes') return;
    if (text.startsWith('DECLARE @kmNow')) this.#of.set(spid, this.tables.push(0) - 1);
    else if (text.startsWith('DECLARE @kmSeen')) this.tables[this.#of.get(spid)!]!++;
  }
}
