/** The lane of a thread to itself: both ends here, handed over at the end of the turn. */
import type { Environment } from '../environment.ts';
import type { Port } from './port.ts';
import type { Carried } from './text.ts';

export function loopback(environment: Environment): [Port, Port] {
  const a = new LoopbackPort(environment);
  const b = new LoopbackPort(environment);
  a.peer = b;
  b.peer = a;
  return [a, b];
}

class LoopbackPort implements Port {
  peer!: LoopbackPort;
  readonly #environment: Environment;
  #listener: ((carried: Carried) => void) | null = null;
  #inbox: Carried[] = [];
  #scheduled = false;
  #closed = false;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  post(message: Carried): void {
    if (!this.#closed) this.peer.#receive(message);
  }

  onMessage(listener: (carried: Carried) => void): void {
    this.#listener = listener;
    if (this.#inbox.length > 0) this.#schedule();
  }

  close(): void {
    this.#closed = true;
    this.peer.#closed = true;
  }

  #receive(message: Carried): void {
    this.#inbox.push(message);
    if (this.#listener) this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#environment.endOfTurn(() => {
      this.#scheduled = false;
      const inbox = this.#inbox;
      this.#inbox = [];
      for (const message of inbox) if (!this.#closed) this.#listener?.(message);
    });
  }
}
