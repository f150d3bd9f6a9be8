/**
 * The I/O contract. An I/O actor owns the resources of one connection on an I/O thread. Handlers reach it by asks over
 * lanes; it is itself a batch actor, so the asks of one drain come as one batch and can become one write, one pipeline,
 * one bulk insert. Its source half feeds the topology; its sink half is its asks.
 */
import type { Environment } from '../environment.ts';
import type { IoMetric } from '../observe/stats.ts';
import type { PolicyOptionsInput } from '../policies/options.ts';
import type { Key, Log, MaybePromise, SourceHalf, SourceTraits } from '../topology/define.ts';

export interface IoContext {
  /** Its name in the topology. */
  readonly name: string;
  /** Folder for what it keeps; made on demand by `ensureDir`-like code of the driver. */
  readonly dataDir: string;
  /** True at the first opening in this process, false after its thread was replaced: truncate, announce, … only then. */
  readonly first: boolean;
  /** A source of the topology reads from it. What none reads from is an output. */
  readonly reads: boolean;
  readonly environment: Environment;
  readonly log: Log;
  /** The client of another I/O actor of the topology, for asks on behalf of no message. Throws CONFIG_INVALID where there is none. */
  io?<C>(name: string): C;
}

/** The outcome of one ask: `{ error }` fails that ask alone, and the policies of its caller decide what next. */
export type IoReply = { readonly value: unknown } | { readonly error: unknown };

export interface IoResource {
  /** One reply per ask, in order. A throw fails them all. Effects must bear being asked twice after a crash. */
  handleBatch(asks: readonly unknown[], signal: AbortSignal): MaybePromise<readonly IoReply[]>;
  /** The source half, with what `read` of the source entry said; called once for each source that names this I/O actor. */
  source?(read: Record<string, unknown>): SourceHalf;
  /** A cheap call that succeeds when the dependency is well again: what an open breaker tries (rule 5). */
  probe?(): Promise<void>;
  /** The runtime drains: asks that wait for something to come are answered now, and refused with RUNTIME_STOPPED from now on. */
  drain?(): void;
  /** What it measures of itself, each time the same series. */
  metrics?(): readonly IoMetric[];
  /** Flushes and lets go of everything. */
  close(): MaybePromise<void>;
}

/** What a client may keep things in its thread with. One object for all clients of an I/O actor in one thread. */
export interface IoThread {
  /** As `open` gets them. */
  readonly options: Record<string, unknown>;
  readonly environment: Environment;
  readonly log: Log;
  /** Asks on behalf of no message: for what outlives the handler that began it. */
  ask(op: unknown): Promise<unknown>;
}

/** A state as a store keeps it. `rev` counts its writes. */
export interface StoredState {
  readonly rev: number;
  readonly bytes: Uint8Array;
}

/** What an I/O actor that keeps durable states does (E12). Durable when it resolves; nothing expires. */
export interface StateStore {
  /** In the order of the names; null where there is none. */
  load(names: readonly string[]): Promise<(StoredState | null)[]>;
  /** Each is written if its `rev` is above what stands there, or stands there already; false where a higher one does. */
  save(states: readonly (StoredState & { readonly name: string })[]): Promise<boolean[]>;
  /** Names that begin with a prefix. */
  names(prefix: string): AsyncIterable<string>;
}

/** One declared topic, as it was found. */
export interface TopicFinding {
  readonly topic: string;
  /** wrong: the declaration itself; missing, differs: the server; made, changed: by `apply`. */
  readonly state: 'fine' | 'wrong' | 'missing' | 'differs' | 'made' | 'changed';
  /** What is so, and what to do. */
  readonly what: string;
}

/** What `keymill doctor` found out about a dependency. */
export interface Finding {
  /** wrong: it fails or loses something now. doubtful: it works, and may not when something happens. */
  readonly state: 'fine' | 'doubtful' | 'wrong';
  /** What comes of it. */
  readonly symptom: string;
  /** What was seen. */
  readonly evidence: string;
  /** What to do; null where nothing is to be done. */
  readonly fix: string | null;
}

/** What a topology uses an I/O actor for, beyond asks. */
export interface IoUses {
  /** Durable states or checkpoints are kept there (E12). */
  readonly keepsStates: boolean;
}

/** What a driver's factory (`file({ … })`, `redis({ … })`) returns and a topology holds under `io`. */
export interface IoSpec<C = unknown> {
  readonly kind: string;
  /** Retry, breaker, time-out and bulkhead around `handleBatch`; what is left out is off. Default: DEFAULT_IO_POLICY. */
  readonly policy?: PolicyOptionsInput;
  /** Plain options; `--set io.NAME.url=…` changes them before `open`. */
  readonly options: Record<string, unknown>;
  /** Checks the options and says what is wrong with path and range. Called in the main thread by `check` and `start`. */
  check(options: Record<string, unknown>): readonly { path: string; message: string }[];
  /** Traits of its sources as far as valid options tell them; what only the opened resource knows is left out. */
  traits?(options: Record<string, unknown>): Partial<SourceTraits>;
  /**
   * Asks with the same key are handled in order, one batch at a time; different keys at once. Pure: runs in every thread.
   * `from`: number of the thread that asks, for what must only keep the order of each.
   */
  key(ask: unknown, from: number): Key;
  /**
   * For `check`: throws what the start would, and leaves nothing behind. Called with `read` of each source that reads from
   * it, or with null when none does and it is an output. Without it `check` opens and closes.
   */
  rehearse?(
    options: Record<string, unknown>,
    read: Record<string, unknown> | null,
    name: string,
    dataDir: string,
    tools: Pick<IoContext, 'environment' | 'log'>,
  ): MaybePromise<void>;
  /** Looks whether the topics that its options declare are there as declared; with `apply` makes and changes them. For `keymill topics`. */
  topics?(
    options: Record<string, unknown>,
    apply: boolean,
    context: Pick<IoContext, 'name' | 'dataDir' | 'environment' | 'log'>,
  ): Promise<readonly TopicFinding[]>;
  /** Looks at the dependency closely, for `keymill doctor`; called where it can be reached. Changes nothing. */
  doctor?(
    options: Record<string, unknown>,
    uses: IoUses,
    context: Pick<IoContext, 'name' | 'dataDir' | 'environment' | 'log'>,
  ): Promise<readonly Finding[]>;
  /** Opens the resources, in the I/O thread only. */
  open(options: Record<string, unknown>, context: IoContext): MaybePromise<IoResource>;
  /** Where it can keep durable states: that face of it. */
  store?(ask: (op: unknown) => Promise<unknown>): StateStore;
  /** The typed face of the I/O actor that `ctx.io(name)` gives; `ask` resolves with the value of the reply. */
  client(ask: (op: unknown) => Promise<unknown>, thread?: IoThread): C;
}

/** Three tries within about a second, 30 s each, and the seed's breaker (5 failures, 1 min, 2 successes). */
export const DEFAULT_IO_POLICY: PolicyOptionsInput = { retry: { attempts: 3 }, timeoutMs: 30_000, breaker: {} };
