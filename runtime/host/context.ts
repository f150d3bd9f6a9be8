/**
 * What handlers get beside the message. One per batch; valid until the handler ends.
 */
import { describe, KeymillError } from '../errors.ts';
import type { Item } from '../mailbox/item.ts';
import type {
  Actor,
  ActorContext,
  ActorRef,
  BatchContext,
  BatchTrigger,
  Context,
  Key,
  Log,
  SendOptions,
  Settings,
} from '../topology/define.ts';
import type { Batch } from './batch.ts';

/** What contexts need of their host. */
export interface ContextHost {
  readonly slot: number;
  io(name: string, batch: Batch | null): unknown;
  logOf(actor: string): Log;
  readonly settings: Settings;
  send(batch: Batch, parent: Item, to: ActorRef<never>, message: unknown, options: SendOptions | undefined): void;
  ask(
    batch: Batch,
    parent: Item,
    to: ActorRef<never>,
    message: unknown,
    options: SendOptions | undefined,
  ): Promise<unknown>;
  timer(batch: Batch, name: string, afterMs: number): void;
}

const NONE: readonly unknown[] = [];

export class HandlerContext implements Context, Omit<BatchContext, 'send'> {
  readonly #host: ContextHost;
  readonly #batch: Batch;
  readonly #batched: boolean;
  messages: readonly unknown[] = NONE;

  constructor(host: ContextHost, batch: Batch, batched: boolean) {
    this.#host = host;
    this.#batch = batch;
    this.#batched = batched;
  }

  get actor(): string {
    return this.#batch.cell.name;
  }

  get host(): number {
    return this.#host.slot;
  }

  get key(): Key {
    return this.#batch.mailbox === this.#batch.cell.shared ? this.#current.key : this.#batch.mailbox.key;
  }

  get trigger(): BatchTrigger {
    return this.#batch.trigger;
  }

  get signal(): AbortSignal {
    return this.#batch.signal;
  }

  get log(): Log {
    return this.#host.logOf(this.#batch.cell.name);
  }

  get settings(): Settings {
    return this.#host.settings;
  }

  get attempt(): number {
    return this.#current.calls;
  }

  get id(): string {
    return this.#current.id;
  }

  get state(): unknown {
    const { mailbox, cell } = this.#batch;
    if (!mailbox.hasState) {
      mailbox.state = cell.definition.state?.(mailbox.key);
      mailbox.hasState = true;
    }
    return mailbox.state;
  }

  set state(value: unknown) {
    this.#batch.mailbox.state = value;
    this.#batch.mailbox.hasState = true;
  }

  io<C>(name: string): C {
    return this.#host.io(name, this.#batch) as C;
  }

  keyOf(index: number): Key {
    return this.#item(index).key;
  }

  idOf(index: number): string {
    return this.#item(index).id;
  }

  attemptOf(index: number): number {
    return this.#item(index).calls;
  }

  // `send(to, message, options)` for handle, `send(index, to, message, options)` for handleBatch
  send(...args: unknown[]): void {
    this.#mustRun('send');
    if (this.#batched)
      this.#host.send(
        this.#batch,
        this.#item(args[0]),
        args[1] as ActorRef<never>,
        args[2],
        args[3] as SendOptions | undefined,
      );
    else
      this.#host.send(
        this.#batch,
        this.#current,
        args[0] as ActorRef<never>,
        args[1],
        args[2] as SendOptions | undefined,
      );
  }

  async ask<M, R>(to: ActorRef<M, R>, message: M, options?: SendOptions): Promise<R> {
    this.#mustRun('ask');
    return (await this.#host.ask(this.#batch, this.#current, to as ActorRef<never>, message, options)) as R;
  }

  observe(name: string, ms: number): void {
    this.#batch.cell.stats.observe(name, ms);
  }

  timer(name: string, afterMs: number): void {
    this.#mustRun('timer');
    this.#host.timer(this.#batch, name, afterMs);
  }

  fail(index: number, error: unknown): void {
    this.#item(index);
    this.#batch.failures ??= new Map();
    this.#batch.failures.set(index, error);
  }

  /** The item that the handler is at. */
  get #current(): Item {
    const item = this.#batch.items[this.#batch.index];
    if (!item) throw this.#tooLate('key, id or attempt');
    return item;
  }

  #item(index: unknown): Item {
    const item = typeof index === 'number' ? this.#batch.items[index] : undefined;
    if (!item)
      throw new KeymillError(
        'CONFIG_INVALID',
        `a batch handler names the item by its index, 0 to ${this.#batch.items.length - 1}; found ${describe(index)}`,
        { place: { actor: this.actor } },
      );
    return item;
  }

  #mustRun(what: string): void {
    if (this.#batch.ended) throw this.#tooLate(what);
  }

  #tooLate(what: string): KeymillError {
    return new KeymillError('SEND_TOO_LATE', `ctx.${what} of a handler that has ended`, {
      place: { actor: this.actor },
    });
  }
}

/** What init, close and onPassivate get. */
export function actorContext(host: ContextHost, actor: string): ActorContext {
  return {
    actor,
    host: host.slot,
    log: host.logOf(actor),
    settings: host.settings,
    io: <C>(name: string) => host.io(name, null) as C,
  };
}

/** Finds actors by name or by definition. */
export class Directory {
  readonly #byName = new Map<string, number>();
  readonly #byDefinition = new Map<object, number>();

  add(index: number, name: string, definition: object): void {
    this.#byName.set(name, index);
    this.#byDefinition.set(definition, index);
  }

  indexOf(ref: ActorRef<never>): number {
    const index = typeof ref === 'string' ? this.#byName.get(ref) : this.#byDefinition.get((ref as Actor)?.definition);
    if (index === undefined) {
      const named =
        typeof ref === 'string'
          ? `no actor ${JSON.stringify(ref)}`
          : 'the actor definition given is not part of the topology';
      throw new KeymillError(
        'ACTOR_UNKNOWN',
        `${named}; there are ${[...this.#byName.keys()].filter(name => !name.startsWith('io:')).join(', ')}`,
      );
    }
    return index;
  }
}

/** Checks what a key function returned. */
export function checkKey(key: unknown, actor: string): Key {
  if (typeof key === 'string' || typeof key === 'bigint') return key;
  if (typeof key === 'number' && Number.isFinite(key)) return key === 0 ? 0 : key; // -0 is 0
  throw new KeymillError('KEY_INVALID', `the key function of ${actor} returned ${describe(key)}`, { place: { actor } });
}
