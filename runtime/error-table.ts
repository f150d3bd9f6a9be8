/**
 * The one table of error codes. A code, once published, keeps its meaning for ever; docs/reference/errors.md is
 * generated from this table and a test holds the two together.
 */

import { IO_ERRORS } from './error-table-io.ts';

/**
 * What the engine does with a failed message (DESIGN rule 5). transient and throttled cost no attempt, poison and
 * unknown cost one, fatal goes to the dead letters at once.
 */
export type ErrorClass = 'transient' | 'throttled' | 'poison' | 'unknown' | 'fatal';

export interface ErrorRow {
  readonly class: ErrorClass;
  readonly means: string;
  readonly todo: string;
}

const ENGINE_ERRORS = {
  ACTOR_MODULE_MISSING: {
    class: 'fatal',
    means: 'The module of an actor or source could not be loaded.',
    todo: 'Check the path; it is resolved from the topology file.',
  },
  ACTOR_MODULE_NO_DEFAULT: {
    class: 'fatal',
    means: 'The module has no default export made by defineActor or defineSource.',
    todo: 'Write `export default defineActor({ key, handle })` in that module.',
  },
  ACTOR_UNKNOWN: {
    class: 'fatal',
    means: 'A message names an actor that the topology does not have.',
    todo: 'Check the spelling, or add the actor to the topology.',
  },
  ASK_CYCLE: {
    class: 'fatal',
    means: 'An ask reached an (actor, key) that is itself waiting for this ask; it could never be answered.',
    todo: 'Use ctx.send instead of ctx.ask on one leg of the cycle.',
  },
  ASK_REJECTED: {
    class: 'unknown',
    means: 'The message behind an ask died or was dropped.',
    todo: 'The cause says why; the dead letter, if any, holds the message.',
  },
  BREAKER_OPEN: {
    class: 'transient',
    means: 'A circuit breaker is open: the dependency failed repeatedly and is not called until a probe succeeds.',
    todo: 'Look at the dependency; the breaker closes by itself when its probe succeeds.',
  },
  BULKHEAD_FULL: {
    class: 'throttled',
    means: 'The bulkhead has no free slot and its queue is full.',
    todo: 'Raise its limit or queue, or send less.',
  },
  CHECKPOINT_UNUSABLE: {
    class: 'fatal',
    means: 'The checkpoint of a source cannot be read, or was made of another input than the one that is there now.',
    todo: 'Put the input or the checkpoint back, or delete the checkpoint file: the source is then read from its start.',
  },
  CONFIG_INVALID: {
    class: 'fatal',
    means: 'The topology or an option of it is wrong.',
    todo: 'Each line names the path, what was expected and what was found.',
  },
  CYCLE_WAITS: {
    class: 'fatal',
    means:
      'Actors feed each other in a cycle and each of them waits when full, so they can block one another for ever.',
    todo: 'Give one actor of the cycle a full mode that does not wait (DropOldest, DropNewest, DropWrite with allowLoss) or onKeyFull: park or dead.',
  },
  DEADLINE: {
    class: 'fatal',
    means: 'The deadline of the message passed before it was done.',
    todo: 'Allow more time, or find what held it up: the dead letter has its history.',
  },
  DEAD_LETTER_UNKNOWN: {
    class: 'fatal',
    means: 'There is no dead letter with this id.',
    todo: 'List the dead letters first.',
  },
  DRAIN_ABANDONED: {
    class: 'fatal',
    means: 'The grace time of the drain ended with messages that were not settled.',
    todo: 'Sources will give theirs again; tells were spooled if a spool is set. Raise graceMs if this is usual.',
  },
  HANDLER_THREW: {
    class: 'unknown',
    means: 'The handler threw or rejected with something that is not an Error.',
    todo: 'Throw Error objects: they carry a stack. What was thrown is in the message.',
  },
  HANDLER_TIMEOUT: {
    class: 'unknown',
    means:
      'The handler did not resolve within timeoutMs. Its key is held until it does, or until the host is recycled.',
    todo: 'Honour ctx.signal in the handler, or raise timeoutMs.',
  },
  HOST_KILLED: {
    class: 'poison',
    means: 'The message killed or blocked its host each time it ran alone, quarantineAfter times.',
    todo: 'Look at the handler with this message; replay the dead letter when mended.',
  },
  HOST_LOST: {
    class: 'fatal',
    means: 'A host died more often than its restart budget allows.',
    todo: 'The log has the cause of each death.',
  },
  IO_FAILED: {
    class: 'transient',
    means: 'An I/O operation failed in a way that may heal (the cause says which).',
    todo: 'keymill retries it; look at the dependency if it lasts.',
  },
  IO_UNKNOWN: {
    class: 'fatal',
    means: 'There is no I/O actor of this name in the topology.',
    todo: 'Add it under `io`, or check the spelling.',
  },
  KEY_FULL: {
    class: 'poison',
    means: 'The key holds its share of the window and onKeyFull is dead.',
    todo: 'Find why the key does not progress, then replay its dead letters in order.',
  },
  KEY_INVALID: {
    class: 'fatal',
    means: 'The key function did not return a string, a finite number or a bigint.',
    todo: 'Mend the key function; the message shows what it returned.',
  },
  MAILBOX_FULL: {
    class: 'throttled',
    means: 'There was no room for the message within waitMs, or its actor refuses what does not fit.',
    todo: 'Send less, wait longer, or raise the bounds of the mailbox or the lane.',
  },
  MESSAGE_NOT_CARRIABLE: {
    class: 'fatal',
    means: 'The message holds something that cannot go to another thread (a function, a symbol, a cycle).',
    todo: 'Send data only; the message names the path of what cannot be carried.',
  },
  PORT_IN_USE: {
    class: 'fatal',
    means: 'The port for health and metrics is taken.',
    todo: 'Give another --port, or 0 for any free one.',
  },
  RECORD_BROKEN: {
    class: 'poison',
    means: 'A record of a source could not be read (file and line are named).',
    todo: 'Mend the record; onBroken decides whether it is dead-lettered or stops the source.',
  },
  REPLAYED: {
    class: 'fatal',
    means: 'A dead letter was replayed or dropped by an operator.',
    todo: 'Nothing; this is a record of what was done.',
  },
  RUNTIME_STOPPED: {
    class: 'fatal',
    means: 'The runtime is stopping or has stopped and takes no more messages.',
    todo: 'Stop sending before you call stop().',
  },
  SEND_TOO_LATE: {
    class: 'fatal',
    means: 'ctx.send or ctx.ask was called after the handler had ended.',
    todo: 'Await everything the handler starts.',
  },
  SEND_TOO_MANY: {
    class: 'fatal',
    means: 'One batch sent more than maxSends messages.',
    todo: 'Make batches smaller (max), or raise maxSends.',
  },
  SOURCE_FAILED: {
    class: 'fatal',
    means: 'A source failed for good.',
    todo: 'The cause says why.',
  },
  SOURCE_MISSING: {
    class: 'fatal',
    means: 'The file of a source does not exist or cannot be read.',
    todo: 'Check the path; it is resolved from the working directory.',
  },
  STATE_TAKEN: {
    class: 'fatal',
    means: 'The durable state of a key was written by another process that uses the same store.',
    todo: 'Let one process at a time keep the states of these keys, or give each its own store.',
  },
  STATE_UNREADABLE: {
    class: 'fatal',
    means: 'The durable state of a key cannot be read: another format, a later stateVersion, or no migrate.',
    todo: 'Give the actor a `migrate` for that version, or start the newer code.',
  },
  TIMEOUT: {
    class: 'transient',
    means: 'An operation took longer than its time-out.',
    todo: 'Look at the dependency, or allow more time.',
  },
  TOPOLOGY_MISSING: {
    class: 'fatal',
    means: 'The topology file could not be loaded, or it has no default export made by defineTopology.',
    todo: 'Check the path and write `export default defineTopology({ … })`.',
  },
} as const satisfies Record<string, ErrorRow>;

export const ERRORS = { ...ENGINE_ERRORS, ...IO_ERRORS };
