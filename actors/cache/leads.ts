/**
 * Who loads what in this process, on the I/O thread. The first to ask for a key leads; others are told, through one waiting
 * ask of each thread, how it ended. A leader that says nothing for the time it asked for is dead, and the next may lead.
 */
import type { Environment } from '../../runtime/index.ts';
import type { LeadOp, Outcome, WaitReply } from './ops.ts';

/** Well below the time-out of the I/O policy, 30 s. */
const WAIT_MS = 10_000;
const SWEEP_MS = 60_000;
const IDLE_MS = 120_000;

interface Lead {
  readonly by: string;
  readonly until: number;
  readonly waiting: Set<string>;
}

interface Inbox {
  outcomes: { key: string; outcome: Outcome }[];
  /** The last reply, until the next wait shows that it came. */
  sent: WaitReply | null;
  seq: number;
  wake: (() => void) | null;
  seenAt: number;
}

export class Leads {
  readonly #environment: Environment;
  readonly #leads = new Map<string, Lead>();
  readonly #inboxes = new Map<string, Inbox>();
  #sweptAt = 0;
  #isDraining = false;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  lead({ key, by, ms }: LeadOp): boolean {
    const now = this.#environment.clock.now();
    this.#sweep(now);
    const lead = this.#leads.get(key);
    if (lead !== undefined && lead.by !== by && lead.until > now) {
      lead.waiting.add(by);
      return false;
    }
    // One who takes over tells those who waited, too.
    this.#leads.set(key, { by, until: now + ms, waiting: lead?.waiting ?? new Set() });
    return true;
  }

  done(key: string, by: string, outcome: Outcome): void {
    const lead = this.#leads.get(key);
    if (lead?.by !== by) return;
    this.#leads.delete(key);
    for (const one of lead.waiting) {
      const inbox = this.#inbox(one);
      inbox.outcomes.push({ key, outcome });
      inbox.wake?.();
    }
  }

  /** As soon as there is something; with nothing after WAIT_MS. */
  wait(by: string, after: number, signal: AbortSignal): Promise<WaitReply> {
    const inbox = this.#inbox(by);
    inbox.wake?.();
    if (inbox.sent !== null && after < inbox.sent.seq) return Promise.resolve(inbox.sent);
    inbox.sent = null;
    if (inbox.outcomes.length > 0 || signal.aborted || this.#isDraining) return Promise.resolve(take(inbox));
    return new Promise(resolve => {
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', end);
        inbox.wake = null;
        inbox.seenAt = this.#environment.clock.now();
        resolve(take(inbox));
      };
      const timer = this.#environment.clock.after(WAIT_MS, end);
      signal.addEventListener('abort', end, { once: true });
      inbox.wake = end;
    });
  }

  /** Ends all waits. */
  drain(): void {
    this.#isDraining = true;
    for (const { wake } of this.#inboxes.values()) wake?.();
  }

  #inbox(by: string): Inbox {
    let inbox = this.#inboxes.get(by);
    if (!inbox) this.#inboxes.set(by, (inbox = { outcomes: [], sent: null, seq: 0, wake: null, seenAt: 0 }));
    inbox.seenAt = this.#environment.clock.now();
    return inbox;
  }

  /** Of threads that are gone. */
  #sweep(now: number): void {
    if (now - this.#sweptAt < SWEEP_MS) return;
    this.#sweptAt = now;
    for (const [by, inbox] of this.#inboxes)
      if (inbox.wake === null && now - inbox.seenAt > IDLE_MS) this.#inboxes.delete(by);
    for (const [key, { until }] of this.#leads) if (now - until > IDLE_MS) this.#leads.delete(key);
  }
}

function take(inbox: Inbox): WaitReply {
  if (inbox.outcomes.length === 0) return { seq: inbox.seq, outcomes: [] };
  const reply = { seq: ++inbox.seq, outcomes: inbox.outcomes };
  inbox.sent = reply;
  inbox.outcomes = [];
  return reply;
}
