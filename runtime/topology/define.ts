/**
 * What users write: actors, sources, I/O actors and the topology that names them. These functions only check shapes
 * and brand; nothing starts. Every thread of the runtime loads the topology module itself, so definitions may hold
 * functions though functions cannot cross threads.
 */
import { describe, type ErrorClass, KeymillError } from '../errors.ts';
import type { IoSpec } from '../io/contract.ts';
import type { ActorOptionsInput, RuntimeOptionsInput, SourceOptionsInput } from './options.ts';

/** What a message belongs to. `1`, `1n` and `'1'` are three different keys. */
export type Key = string | number | bigint;

/** Why a batch was cut: its size limit, the depth rule, the flush time, a drain, or a rerun alone after a failure. */
export type BatchTrigger = 'size' | 'depth' | 'time' | 'drain' | 'solo';

export type MaybePromise<T> = T | Promise<T>;

export interface SendOptions {
  /** Gives up, with DEADLINE, what is not done by then; milliseconds from now. */
  deadlineMs?: number;
  /** 0 (first) to 7; overrides the actor's. */
  priority?: number;
}

/** Plain values of the topology's own, by group and name: defaults that `--set GROUP.NAME=value` changes. */
export type Settings = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** What the hooks of an actor get. */
export interface ActorContext {
  /** The actor's name in the topology. */
  readonly actor: string;
  /** Index of the host this runs on. */
  readonly host: number;
  /** The client of an I/O actor of the topology. Throws IO_UNKNOWN. */
  io<C = unknown>(name: string): C;
  readonly log: Log;
  /** The topology's settings of its own. */
  readonly settings: Settings;
}

/** What a handler gets beside the message. Valid until the handler ends. */
export interface Context<S = unknown> extends ActorContext {
  readonly key: Key;
  /** The state that `state(key)` made. A cache only: gone when the key is passivated or its host dies. */
  state: S;
  /** Aborted when the handler ran out of its time (timeoutMs) or the message out of its deadline. */
  readonly signal: AbortSignal;
  /** The number of this call for the message, 1 for the first. More than 1 after a failure of its own. */
  readonly attempt: number;
  /** `source/epoch/position[.path]`: the same each time the message comes. Use it to make effects idempotent. */
  readonly id: string;
  /**
   * Sends a child: it leaves when the handler has resolved, is forgotten when it fails, and the message settles only
   * after it. Throws SEND_TOO_MANY, SEND_TOO_LATE, ACTOR_UNKNOWN, KEY_INVALID, MESSAGE_NOT_CARRIABLE, MESSAGE_TOO_LARGE.
   */
  send<M>(to: ActorRef<M>, message: M, options?: SendOptions): void;
  /** Asks another actor and waits for its reply. Rejects with ASK_CYCLE at once where it could never be answered. */
  ask<M, R>(to: ActorRef<M, R>, message: M, options?: SendOptions): Promise<R>;
  /** Records a time that the handler measured, in ms, as the metric keymill_observed_seconds. At most 16 names an actor. */
  observe(name: string, ms: number): void;
  /** Calls `onTimer(name)` of the actor for this key, in turn with its messages; lost with the host. */
  timer(name: string, afterMs: number): void;
}

/** What a batch handler gets beside the batch. */
export interface BatchContext<M = unknown, S = unknown> extends Omit<Context<S>, 'send' | 'id' | 'attempt'> {
  readonly trigger: BatchTrigger;
  /** Key of the item at this index; differs from `key` only for `across: 'keys'`. */
  keyOf(index: number): Key;
  idOf(index: number): string;
  attemptOf(index: number): number;
  /** Sends a child of the item at `index`. */
  send<N>(index: number, to: ActorRef<N>, message: N, options?: SendOptions): void;
  /**
   * Marks the item at `index` as failed. Items of its key before it count as done, it and those of its key after it
   * are tried again (B7). Without any mark a thrown error fails the whole batch, which is then rerun item by item.
   */
  fail(index: number, error: unknown): void;
  readonly messages: readonly M[];
}

export interface ActorDefinition<M, R = unknown, S = unknown> {
  /** The key a message belongs to. Must be pure: it runs in every thread that sends. */
  key(message: M): Key;
  /** Handles one message. What it returns is the reply of an `ask`. */
  handle?(message: M, ctx: Context<S>): MaybePromise<R>;
  /** Handles many. The array is reused: copy what must outlive the call. May return one reply per message. */
  handleBatch?(batch: readonly M[], ctx: BatchContext<M, S>): MaybePromise<readonly R[] | void>;
  /** Makes the state of a key when it is first used. */
  state?(key: Key): S;
  /** Once per host before its first message; turns wait for it. */
  init?(ctx: ActorContext): MaybePromise<void>;
  /** Once per host when it closes, after onPassivate of every resident key. */
  close?(ctx: ActorContext): MaybePromise<void>;
  /** When a key leaves memory: idle, over maxResident, or at close. */
  onPassivate?(state: S, key: Key, ctx: ActorContext): MaybePromise<void>;
  onTimer?(name: string, ctx: Context<S>): MaybePromise<void>;
  /** Of the durable state (`persist`), 1 by default. Raise it when its shape changes, and give `migrate`. */
  stateVersion?: number;
  /** Makes a state of this version from one of an earlier. */
  migrate?(state: unknown, fromVersion: number): S;
  /** Overrides the class of an error; undefined leaves it. */
  classify?(error: unknown): ErrorClass | undefined;
  /** Defaults that the topology's own options override. */
  options?: ActorOptionsInput;
}

// biome-ignore lint/suspicious/noExplicitAny: the one place where actors of all message types meet
export type AnyDefinition = ActorDefinition<any, any, any>;

declare const types: unique symbol;

/** A checked actor definition. The type parameters are what it takes and replies. */
export interface Actor<M = unknown, R = unknown, S = unknown> {
  readonly kind: 'actor';
  readonly definition: AnyDefinition;
  readonly [types]?: { message: M; reply: R; state: S };
}

/** An actor by its name in the topology, or by its definition (which types the message). */
export type ActorRef<M = unknown, R = unknown> = string | Actor<M, R, never> | Actor<M, R, unknown>;

const ACTOR_KEYS = new Set([
  'key',
  'handle',
  'handleBatch',
  'state',
  'init',
  'close',
  'onPassivate',
  'onTimer',
  'stateVersion',
  'migrate',
  'classify',
  'options',
]);

/** Defines an actor: a key function and one of `handle` and `handleBatch`; all else has defaults. */
export function defineActor<M, R = void, S = undefined>(definition: ActorDefinition<M, R, S>): Actor<M, R, S> {
  const where = { at: 'defineActor' };
  for (const name of Object.keys(definition))
    if (!ACTOR_KEYS.has(name))
      throw new KeymillError(
        'CONFIG_INVALID',
        `an actor has no \`${name}\`; it may have ${[...ACTOR_KEYS].join(', ')}`,
        { place: where },
      );
  if (typeof definition.key !== 'function')
    throw new KeymillError('CONFIG_INVALID', `an actor needs a key function, found ${describe(definition.key)}`, {
      place: where,
    });
  if ((typeof definition.handle === 'function') === (typeof definition.handleBatch === 'function'))
    throw new KeymillError('CONFIG_INVALID', 'an actor needs exactly one of `handle` and `handleBatch`', {
      place: where,
    });
  return { kind: 'actor', definition };
}

/** Where a record stands in its source. Numbers must grow if the source is `ordered`. */
export type Position = number;

export interface SourceTraits {
  /** Can give again what was not settled when its thread died (a file can, stdin cannot). */
  readonly replayable: boolean;
  /** Positions grow in the order of reading. */
  readonly ordered: boolean;
  /** A position is of the same record at every reading. Default true; durable states need it, to know what they counted. */
  readonly stable?: boolean;
  /** Acks must advance without holes: it learns the position below which all settled, never single ones. */
  readonly contiguous: boolean;
}

/** One record of a source; with `broken` set it is what could not be read, and `value` its raw text. */
export interface SourceRecord<T = unknown> {
  readonly position: Position;
  readonly value: T;
  readonly broken?: KeymillError;
  /** The key by which several replicas share the source, null for a record without one; undefined where they do not. */
  readonly sharedBy?: string | null;
}

/** The source half of an I/O actor, and what a source of the user's own amounts to. */
export interface SourceHalf<T = unknown> {
  readonly traits: SourceTraits;
  /**
   * Reads from `from` (inclusive; 0 is the start) in chunks, until the end if there is one. Pulled only while the
   * window has room. Throws for good; what heals by itself it retries itself.
   */
  read(from: Position, signal: AbortSignal): AsyncIterable<readonly SourceRecord<T>[]>;
  /** Told of what settled: for contiguous sources everything below `low`; for others each position once. */
  ack?(settled: { readonly low: Position; readonly positions: readonly Position[] }): MaybePromise<void>;
  /** By what a later process can tell that the input is still the one read so far: plain JSON, kept in the checkpoint. */
  mark?(): unknown;
  /**
   * Called before reading on from a checkpoint, with its mark. Throws CHECKPOINT_UNUSABLE when this is another input.
   * May return an earlier position to go on from: that of a record which has changed since.
   */
  recognise?(mark: unknown): MaybePromise<Position | undefined>;
  /** Set by the engine where a checkpoint is kept: to be called when `mark` has moved though nothing settled. */
  marked?: (() => void) | undefined;
  /** It keeps its position itself, where its replicas find it: `checkpoint` is refused. */
  readonly keepsPosition?: boolean | undefined;
  /** Why it gives nothing now, in few and fixed words: they are a label of metrics. */
  waiting?(): string | undefined;
  /** How many versions of its input lie behind what is settled; undefined where it has none or does not know. */
  lag?(): number | undefined;
  /** Nothing more will come than is there now: a source without an end of its own ends when it has read that. */
  finish?(): void;
  close?(): MaybePromise<void>;
}

export interface SourceContext {
  readonly source: string;
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly settings: Settings;
}

/** A source of the user's own: an async iterable, or a poll function (E11). */
export interface SourceDefinition<T> {
  /** Gives messages one by one from `from` on. */
  read?(from: Position, ctx: SourceContext): AsyncIterable<T> | Iterable<T>;
  /** Returns up to `batchSize` messages, an empty array when idle, undefined at the end. */
  poll?(batchSize: number, ctx: SourceContext): MaybePromise<readonly T[] | undefined>;
  /** Default: not replayable, ordered, not contiguous. */
  traits?: Partial<SourceTraits>;
  ack?: SourceHalf<T>['ack'];
  close?(): MaybePromise<void>;
  options?: SourceOptionsInput;
}

export interface Source<T = unknown> {
  readonly kind: 'source';
  readonly definition: SourceDefinition<T>;
}

export function defineSource<T>(definition: SourceDefinition<T>): Source<T> {
  if ((typeof definition.read === 'function') === (typeof definition.poll === 'function'))
    throw new KeymillError('CONFIG_INVALID', 'a source needs exactly one of `read` and `poll`', {
      place: { at: 'defineSource' },
    });
  return { kind: 'source', definition };
}

/** A definition, or a lazy import of the module whose default export it is, or that module's URL. */
export type Use<T> = T | (() => Promise<{ default: T }>) | URL;

export type ActorEntry<A extends Actor = Actor> = A | ({ use: Use<A> } & ActorOptionsInput);

/** Turns a record of a source into a message. Made anew for each reading, so it may count. `undefined` skips the record. */
export type RecordMap = () => (record: never, info: { readonly position: Position }) => unknown;

export type SourceEntry = {
  /** The actor or actors that get each message; it is acked when all of them settled it. */
  to: string | readonly string[];
  map?: Use<RecordMap> | undefined;
} & (
  | { use: Use<Source<never>> | Use<Source>; from?: never }
  | { from: string; read?: Record<string, unknown>; use?: never }
) &
  SourceOptionsInput;

/** What the `summary` function of a topology gets. */
export interface SummaryContext {
  io<C = unknown>(name: string): C;
  readonly settings: Settings;
  /** What handlers measured with ctx.observe, in ms. */
  readonly observed: readonly {
    readonly actor: string;
    readonly name: string;
    readonly count: number;
    readonly p50: number;
    readonly p99: number;
    readonly max: number;
  }[];
}

export interface TopologyDefinition<A extends Record<string, ActorEntry> = Record<string, ActorEntry>>
  extends RuntimeOptionsInput {
  /** `import.meta.url` of the module that exports this topology as default: every thread loads it from there. */
  module?: string;
  name: string;
  actors: A;
  sources?: Record<string, SourceEntry>;
  io?: Record<string, IoSpec>;
  /** Values that actors and sources of this topology look up, as `ctx.settings`. */
  settings?: Settings;
  /** Called in the main thread when all is settled, before the I/O actors close: what it returns joins the summary. */
  summary?: (end: SummaryContext) => MaybePromise<Record<string, unknown>>;
}

export interface Topology<A extends Record<string, ActorEntry> = Record<string, ActorEntry>> {
  readonly kind: 'topology';
  readonly definition: TopologyDefinition<A>;
}

/** Names the actors, sources and I/O actors that belong together. Checked by `start` and `keymill check`. */
export function defineTopology<A extends Record<string, ActorEntry>>(definition: TopologyDefinition<A>): Topology<A> {
  return { kind: 'topology', definition };
}

/** The message type and reply type of an entry of a topology. */
export type MessageOf<E> = ActorOf<E> extends Actor<infer M, infer _R, infer _S> ? M : never;
export type ReplyOf<E> = ActorOf<E> extends Actor<infer _M, infer R, infer _S> ? R : never;
type ActorOf<E> = E extends { kind: 'actor' }
  ? E
  : E extends { use: infer U }
    ? U extends () => Promise<{ default: infer D }>
      ? D
      : U extends { kind: 'actor' }
        ? U
        : Actor
    : Actor;

/** Structured logging; fields first, text last, as in pino. */
export interface Log {
  debug(fields: Record<string, unknown>, text: string): void;
  info(fields: Record<string, unknown>, text: string): void;
  warn(fields: Record<string, unknown>, text: string): void;
  error(fields: Record<string, unknown>, text: string): void;
}
