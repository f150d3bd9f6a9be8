/** Asks of this thread that wait for their reply. */
import type { Environment, Timer } from '../environment.ts';
import { fromWire, KeymillError, type WireError } from '../errors.ts';
import { DEAD, DONE, type Outcome, type Owner } from '../lanes/port.ts';

interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  timer: Timer | null;
  what: string;
}

export class Asks implements Owner {
  readonly #environment: Environment;
  readonly #pending = new Map<number, Pending>();
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
      const timer =
        timeoutMs === 0
          ? null
          : this.#environment.clock.after(timeoutMs, () => {
              this.#pending.delete(token);
              reject(new KeymillError('TIMEOUT', `no reply from ${what} within ${timeoutMs} ms`));
            });
      this.#pending.set(token, { resolve, reject, timer, what });
    });
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
  }

  #take(token: number): Pending | undefined {
    const pending = this.#pending.get(token);
    this.#pending.delete(token);
    pending?.timer?.cancel();
    return pending;
  }
}
