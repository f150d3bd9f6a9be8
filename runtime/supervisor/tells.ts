/** Tells and asks from the main thread: the host service's way in (E8, E14, rule 20). */
import type { Environment } from '../environment.ts';
import { KeymillError } from '../errors.ts';
import { checkKey } from '../host/context.ts';
import type { Host } from '../host/host.ts';
import { ASK, DROPPABLE, type Envelope, NO_EXTRAS } from '../lanes/envelope.ts';
import { DEAD, DONE, type Outcome, type Owner } from '../lanes/port.ts';
import type { ActorRef } from '../topology/define.ts';

export interface TellOptions {
  /** `accepted` (default): in memory of this process. `settled`: done; rejects if it died or was dropped. */
  until?: 'accepted' | 'settled';
  /** Gives up what is not done by then; milliseconds from now. */
  deadlineMs?: number;
  /** 0 (first) to 7; overrides the actor's. */
  priority?: number;
  /** A second tell with this key, while the runtime remembers it (the last 100,000), is taken for the first. */
  idempotencyKey?: string;
  /** Stops waiting for room. A tell that was accepted is not undone. */
  signal?: AbortSignal;
  /** How long to wait for room; default the actor's mailbox.waitMs. Then MAILBOX_FULL. */
  waitMs?: number;
}

export interface AskOptions extends Omit<TellOptions, 'until' | 'idempotencyKey'> {}

const REMEMBERED = 100_000;
const ASK_TIMEOUT_MS = 30_000;

export class Tells implements Owner {
  readonly #host: Host;
  readonly #environment: Environment;
  readonly #epoch: number;
  readonly #settling = new Map<number, { resolve: () => void; reject: (error: Error) => void; actor: string }>();
  readonly #remembered = new Map<string, Promise<void>>();
  /** Refuses what waits for room. */
  readonly #waiting = new Set<(error: Error) => void>();
  #position = 0;
  open = false;
  counts = { given: 0, done: 0, dead: 0, dropped: 0 };
  readonly #source: string;

  /** `source`: the first part of the ids of what is told. */
  constructor(host: Host, environment: Environment, source = 'tell') {
    this.#host = host;
    this.#environment = environment;
    this.#source = source;
    this.#epoch = Math.floor(environment.clock.wall());
  }

  /** Tells and asks that wait for room. */
  get waiting(): number {
    return this.#waiting.size;
  }

  tell(to: ActorRef<never>, message: unknown, options: TellOptions = {}): Promise<void> {
    if (options.idempotencyKey === undefined) return this.#tell(to, message, options);
    const known = this.#remembered.get(options.idempotencyKey);
    if (known) return known;
    const told = this.#tell(to, message, options);
    this.#remembered.set(options.idempotencyKey, told);
    told.catch(() => this.#remembered.delete(options.idempotencyKey!));
    if (this.#remembered.size > REMEMBERED) this.#remembered.delete(this.#remembered.keys().next().value!);
    return told;
  }

  tryTell(to: ActorRef<never>, message: unknown, options: Pick<TellOptions, 'deadlineMs' | 'priority'> = {}): boolean {
    const envelope = this.#envelope(to, message, options, false);
    if (!this.#host.sender.trySend(envelope, this, envelope.position)) return false;
    this.counts.given++;
    return true;
  }

  async ask(to: ActorRef<never>, message: unknown, options: AskOptions = {}): Promise<unknown> {
    const envelope = this.#envelope(to, message, options, true);
    const { token, reply } = this.#host.asks.open(this.#nameOf(envelope), options.deadlineMs ?? ASK_TIMEOUT_MS);
    reply.catch(() => undefined); // the caller gets it below, or why it could not be asked
    try {
      await this.#accept(envelope, this.#host.asks, token, options);
    } catch (error) {
      this.#host.asks.fail(token, error);
    }
    return reply;
  }

  /** Rejects what still waits for room or to be settled, at the end of the runtime. */
  close(): void {
    this.open = false;
    for (const refuse of [...this.#waiting])
      refuse(new KeymillError('RUNTIME_STOPPED', 'the runtime stopped before there was room for the message'));
    for (const { reject, actor } of this.#settling.values())
      reject(new KeymillError('RUNTIME_STOPPED', `the runtime stopped before the message for ${actor} was settled`));
    this.#settling.clear();
  }

  settled(token: number, outcome: Outcome): void {
    if (outcome === DONE) this.counts.done++;
    else if (outcome === DEAD) this.counts.dead++;
    else this.counts.dropped++;
    if (this.#settling.size === 0) return;
    const waiting = this.#settling.get(token);
    if (!waiting) return;
    this.#settling.delete(token);
    if (outcome === DONE) waiting.resolve();
    else
      waiting.reject(
        outcome === DEAD
          ? new KeymillError('ASK_REJECTED', `the message for ${waiting.actor} is dead; see its dead letter`)
          : new KeymillError('MAILBOX_FULL', `dropped by ${waiting.actor} for want of room`),
      );
  }

  async #tell(to: ActorRef<never>, message: unknown, options: TellOptions): Promise<void> {
    const envelope = this.#envelope(to, message, options, false);
    let settled: Promise<void> | undefined;
    if (options.until === 'settled') {
      settled = new Promise((resolve, reject) =>
        this.#settling.set(envelope.position, { resolve, reject, actor: this.#nameOf(envelope) }),
      );
      settled.catch(() => undefined);
    }
    try {
      await this.#accept(envelope, this, envelope.position, options);
    } catch (error) {
      this.#settling.delete(envelope.position);
      throw error;
    }
    this.counts.given++;
    return settled;
  }

  /** Resolves when the bytes are in an outbox. */
  #accept(envelope: Envelope, owner: Owner, token: number, options: TellOptions): Promise<void> | undefined {
    let accept!: () => void;
    let refuse!: (error: unknown) => void;
    const sent = this.#host.sender.send(
      envelope,
      owner,
      token,
      () => accept(),
      error => refuse(error),
    );
    if (sent === true) return undefined;
    return new Promise<void>((resolve, reject) => {
      const waitMs = options.waitMs ?? this.#host.plan.actors[envelope.actor]!.options.mailbox.waitMs;
      const stop = (error: unknown): void => {
        sent.cancelled = true;
        done();
        reject(error);
      };
      const aborted = (): void => stop(options.signal!.reason);
      const timer = this.#environment.clock.after(waitMs, () =>
        stop(
          new KeymillError('MAILBOX_FULL', `no room for a message to ${this.#nameOf(envelope)} within ${waitMs} ms`, {
            place: { actor: this.#nameOf(envelope) },
          }),
        ),
      );
      const done = (): void => {
        timer.cancel();
        this.#waiting.delete(stop);
        options.signal?.removeEventListener('abort', aborted);
      };
      accept = () => {
        done();
        resolve();
      };
      refuse = stop;
      this.#waiting.add(stop);
      if (options.signal?.aborted) return aborted();
      options.signal?.addEventListener('abort', aborted, { once: true });
    });
  }

  #nameOf(envelope: Envelope): string {
    return this.#host.plan.actors[envelope.actor]!.name;
  }

  #envelope(
    to: ActorRef<never>,
    message: unknown,
    options: { deadlineMs?: number; priority?: number },
    ask: boolean,
  ): Envelope {
    if (!this.open) throw new KeymillError('RUNTIME_STOPPED', 'the runtime takes no messages now');
    const actor = this.#host.directory.indexOf(to);
    const { definition, name } = this.#host.plan.actors[actor]!;
    const key = checkKey(definition.key(message), name);
    const extras =
      options.deadlineMs !== undefined || options.priority !== undefined
        ? {
            ...NO_EXTRAS,
            priority: options.priority ?? -1,
            deadline: options.deadlineMs === undefined ? 0 : this.#environment.clock.wall() + options.deadlineMs,
          }
        : null;
    const numbers = this.#host.sender.numbersOf(actor);
    return {
      actor,
      key,
      number: numbers.of(key),
      hash: numbers.hash,
      body: message,
      source: ask ? 'ask' : this.#source,
      epoch: this.#epoch,
      position: this.#position++,
      path: '',
      flags: ask ? DROPPABLE | ASK : DROPPABLE,
      extras,
    };
  }
}
