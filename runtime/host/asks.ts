/** Asks of this thread that wait for their reply. */
import type { Environment, Timer } from '../environment.ts';
import { fromWire, KeymillError, type WireError } from '../errors.ts';
import { DEAD, DONE, type Outcome, type Owner } from '../lanes/port.ts';

interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  what: string;
  /** When it is given up (`clock.now()`), and after how long; 0 for never. */
  until: number;
  timeoutMs: number;
}

/** Asks with the same time-out: their order is that of their ends, so one timer is enough for all of them. */
interface Patience {
  readonly timeoutMs: number;
  readonly tokens: Set<number>;
  timer: Timer | null;
}

export class Asks implements Owner {
  readonly #environment: Environment;
  readonly #pending = new Map<number, Pending>();
  readonly #patience = new Map<number, Patience>();
  #next = 1;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** A token for the sender, and the promise of the reply. Rejects with TIMEOUT after `timeoutMs` (0: never). */
  open(what: string, timeoutMs: number): { token: number; reply: Promise<unknown> } {
    const token = this.#next++;
    const reply = new Promise<unknown>((resolve, reject) => {
      const until = timeoutMs === 0 ? 0 : this.#environment.clock.now() + timeoutMs;
      this.#pending.set(token, { resolve, reject, what, until, timeoutMs });
    });
    if (timeoutMs > 0) this.#watch(token, timeoutMs);
    return { token, reply };
  }

  fail(token: number, error: unknown): void {
    this.#take(token)?.reject(error);
  }

  replied(token: number, ok: boolean, value: unknown): void {
    const pending = this.#take(token);
    if (ok) pending?.resolve(value);
    else pending?.reject(fromWire(value as WireError));
  }

  settled(token: number, outcome: Outcome): void {
    const pending = this.#take(token); // usually gone: the reply came first
    if (!pending) return;
    const how =
      outcome === DONE ? 'settled without a reply' : outcome === DEAD ? 'is dead' : 'was dropped for want of room';
    pending.reject(new KeymillError('ASK_REJECTED', `the ask of ${pending.what} ${how}`));
  }

  /** Rejects all, at the end of the thread. */
  close(): void {
    for (const token of [...this.#pending.keys()])
      this.fail(token, new KeymillError('RUNTIME_STOPPED', 'the runtime stopped before the reply came'));
    for (const { timer } of this.#patience.values()) timer?.cancel();
    this.#patience.clear();
  }

  #watch(token: number, timeoutMs: number): void {
    let patience = this.#patience.get(timeoutMs);
    if (!patience) {
      patience = { timeoutMs, tokens: new Set(), timer: null };
      this.#patience.set(timeoutMs, patience);
    }
    patience.tokens.add(token);
    if (patience.timer === null) this.#arm(patience, timeoutMs);
  }

  /** A timer runs out once, however many asks were answered meanwhile: to cancel one for each costs more than the ask. */
  #arm(patience: Patience, ms: number): void {
    patience.timer = this.#environment.clock.after(ms, () => {
      patience.timer = null;
      const now = this.#environment.clock.now();
      for (const token of patience.tokens) {
        const { until, what } = this.#pending.get(token)!;
        if (until > now) return this.#arm(patience, until - now);
        this.fail(token, new KeymillError('TIMEOUT', `no reply from ${what} within ${patience.timeoutMs} ms`));
      }
      this.#patience.delete(patience.timeoutMs);
    });
  }

  #take(token: number): Pending | undefined {
    const pending = this.#pending.get(token);
    if (!pending) return undefined;
    this.#pending.delete(token);
    if (pending.timeoutMs > 0) this.#patience.get(pending.timeoutMs)!.tokens.delete(token);
    return pending;
  }
}
