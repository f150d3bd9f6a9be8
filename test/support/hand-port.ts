/** Two ends of a channel between threads where the test decides when a message arrives. */
import type { Port } from '../../runtime/lanes/port.ts';
import type { Carried } from '../../runtime/lanes/text.ts';

export class HandPort implements Port {
  peer!: HandPort;
  #listener: ((carried: Carried) => void) | null = null;
  readonly inbox: Carried[] = [];
  closed = false;

  post(message: Carried): void {
    if (!this.closed && !this.peer.closed) this.peer.inbox.push(structuredClone(message));
  }

  onMessage(listener: (carried: Carried) => void): void {
    this.#listener = listener;
  }

  close(): void {
    this.closed = true;
    this.inbox.length = 0;
  }

  /** Lets up to `count` messages arrive at this end. Returns how many did. */
  deliver(count = Number.POSITIVE_INFINITY): number {
    let delivered = 0;
    while (delivered < count && this.inbox.length > 0 && !this.closed) {
      delivered++;
      this.#listener?.(this.inbox.shift()!);
    }
    return delivered;
  }
}

export function handPorts(): [HandPort, HandPort] {
  const a = new HandPort();
  const b = new HandPort();
  a.peer = b;
  b.peer = a;
  return [a, b];
}
