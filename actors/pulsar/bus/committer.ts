/**
 * Group commit: all publishes and acknowledgements that wait when a turn of the event loop ends become one transaction, in
 * the order they came, and are answered when it is durable. Those who keep in memory what the database holds take part
 * in it (`Participant`): they change with the transaction, and go back when it fails.
 *
 * When a transaction fails, everything that waits fails with it: what comes behind must not overtake what is asked
 * again, so whoever asks again does so in order.
 */
import { type Environment, isKeymillError } from '../../../runtime/index.ts';
import type { Store } from './store.ts';

/** One transaction takes no more than this; the rest follows at the end of the next turn. */
const MAX_JOBS = 10_000;
const MAX_BYTES = 16 * 1024 * 1024;

export interface Participant {
  /** Remembers where it stands. */
  begin(): void;
  /** Writes where it then stands, before the commit. */
  write(): void;
  /** It is durable. Must not throw. */
  committed(): void;
  /** Goes back to where it stood. */
  rolledBack(): void;
}

export class Transaction {
  readonly participants = new Set<Participant>();

  /** Before the participant changes for the first time. */
  enlist(participant: Participant): void {
    if (this.participants.has(participant)) return;
    participant.begin();
    this.participants.add(participant);
  }
}

export interface Job {
  readonly bytes: number;
  /** A KeymillError thrown before anything was written fails this job alone; any other throw fails the transaction. */
  run(transaction: Transaction): void;
  done(): void;
  failed(error: unknown): void;
}

export class Committer {
  readonly #store: Store;
  readonly #environment: Environment;
  #waiting: Job[] = [];
  #isDue = false;
  /** Bytes of the transaction that failed last, 0 after one that did not: what a probe must find room for. */
  wanted = 0;

  constructor(store: Store, environment: Environment) {
    this.#store = store;
    this.#environment = environment;
  }

  submit(job: Job): void {
    this.#waiting.push(job);
    if (!this.#isDue) this.#schedule();
  }

  /** What `run` wrote is durable when it resolves. */
  do(run: (transaction: Transaction) => void): Promise<void> {
    return new Promise((resolve, reject) => this.submit({ bytes: 0, run, done: resolve, failed: reject }));
  }

  /** Resolves when all that was submitted so far is answered. */
  barrier(): Promise<void> {
    return new Promise(resolve =>
      this.submit({ bytes: 0, run: () => undefined, done: resolve, failed: () => resolve() }),
    );
  }

  /** Commits all that waits, at once. */
  drain(): void {
    while (this.#waiting.length > 0) this.#commit();
  }

  #schedule(): void {
    this.#isDue = true;
    this.#environment.endOfTurn(() => {
      this.#isDue = false;
      this.#commit();
      if (this.#waiting.length > 0 && !this.#isDue) this.#schedule();
    });
  }

  #commit(): void {
    const jobs = this.#take();
    if (jobs.length === 0) return;
    const transaction = new Transaction();
    const refused = new Map<Job, unknown>();
    try {
      this.#store.transaction(() => {
        for (const job of jobs)
          try {
            job.run(transaction);
          } catch (error) {
            if (!isKeymillError(error)) throw error;
            refused.set(job, error);
          }
        for (const participant of transaction.participants) participant.write();
      });
    } catch (error) {
      for (const participant of transaction.participants) participant.rolledBack();
      const behind = this.#waiting;
      this.#waiting = [];
      this.wanted = jobs.reduce((sum, job) => sum + job.bytes, 0);
      for (const job of [...jobs, ...behind]) job.failed(error);
      return;
    }
    this.wanted = 0;
    for (const job of jobs)
      if (refused.size > 0 && refused.has(job)) job.failed(refused.get(job));
      else job.done();
    for (const participant of transaction.participants) participant.committed();
  }

  #take(): Job[] {
    const waiting = this.#waiting;
    let bytes = 0;
    let count = 0;
    while (count < waiting.length && count < MAX_JOBS && bytes < MAX_BYTES) bytes += waiting[count++]!.bytes;
    if (count === waiting.length) {
      this.#waiting = [];
      return waiting;
    }
    this.#waiting = waiting.slice(count);
    return waiting.slice(0, count);
  }
}
