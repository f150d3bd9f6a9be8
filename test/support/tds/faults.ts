/** What tests let go wrong: with the n-th request of a kind, the connection, the answer, or the time it takes. */
import type { SqlError } from './errors.ts';

/** `end`: closed as by the server; `reset`: as by a network; `stall`: nothing more comes, and nothing is closed. */
type Way = 'end' | 'reset' | 'stall';

export interface Break {
  /** After so many bytes of the response, packet headers and all; of the plain ones where they are encrypted. */
  readonly at: number;
  readonly by: Way;
}

/** What a client asked for. */
export interface Seen {
  readonly kind: 'prelogin' | 'login' | 'query' | 'call' | 'begin' | 'commit' | 'rollback' | 'save' | 'bulk';
  /** Of a query, of `insert bulk`; of a call the name; else empty. */
  readonly sql: string;
  readonly spid: number;
}

export interface Fault {
  /** Which requests are meant; all unless said. */
  readonly on?: (seen: Seen) => boolean;
  /** The first of those that is hit, from 1; 1. */
  readonly nth?: number;
  /** How many are, from that; 1. */
  readonly times?: number;
  /** Before it is handled. */
  readonly delayMs?: number;
  /** The connection breaks in place of the request. */
  readonly before?: Way;
  /** The request is answered so and not handled. */
  readonly error?: SqlError | ((seen: Seen) => SqlError);
  /** The request is handled, and its answer breaks. */
  readonly breaks?: Break;
  /** A cancel meanwhile gets the second of its two answers only, or none. A delay with it is not cut short. */
  readonly attention?: 'second' | 'none';
}

/** What became of a fault. */
export class FaultWatch {
  /** Requests that were meant. */
  seen = 0;
  /** Those that were hit. */
  hits = 0;
  /** Of the last response to one that was hit: how long it would have been. */
  bytes = 0;
  readonly fault: Fault;
  readonly #remove: (watch: FaultWatch) => void;

  constructor(fault: Fault, remove: (watch: FaultWatch) => void) {
    this.fault = fault;
    this.#remove = remove;
  }

  /** It hits no more. */
  remove(): void {
    this.#remove(this);
  }

  /** Whether it is this request's turn. */
  takes(seen: Seen): boolean {
    const { on = () => true, nth = 1, times = 1 } = this.fault;
    if (!on(seen)) return false;
    this.seen++;
    return this.seen >= nth && this.seen < nth + times;
  }
}

/** All faults of a server. The first that takes a request has it. */
export class Faults {
  readonly #watches = new Set<FaultWatch>();

  add(fault: Fault): FaultWatch {
    const watch = new FaultWatch(fault, gone => this.#watches.delete(gone));
    this.#watches.add(watch);
    return watch;
  }

  take(seen: Seen): FaultWatch | null {
    let taken: FaultWatch | null = null;
    for (const watch of this.#watches) if (watch.takes(seen)) taken ??= watch;
    if (taken) taken.hits++;
    return taken;
  }

  clear(): void {
    this.#watches.clear();
  }
}
