/**
 * The one table of error codes. A code, once published, keeps its meaning for ever; docs/reference/errors.md is
 * generated from this table and a test holds the two together.
 */

/**
 * What the engine does with a failed message (DESIGN rule 5). transient and throttled cost no attempt, poison and
 * unknown cost one, fatal goes to the dead letters at once.
 */
export type ErrorClass = 'transient' | 'throttled' | 'poison' | 'unknown' | 'fatal';

interface Row {
  readonly class: ErrorClass;
  readonly means: string;
  readonly todo: string;
}

export const ERRORS = {
  ACCESS_REFUSED: {
    class: 'fatal',
    means: 'A server did not accept who we are, or does not let us do this (its words are in the message).',
    todo: 'Check token, user and password, and what they may do.',
  },
  ACK_REFUSED: {
    class: 'fatal',
    means:
      'The subscription does not allow this acknowledgement: cumulative on Shared or Key_Shared, or a nack where order is kept.',
    todo: 'Acknowledge one by one; where order is kept, let the handler fail: keymill retries it in place.',
  },
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
  CONSUMER_BUSY: {
    class: 'transient',
    means: 'The subscription is Exclusive and has a consumer, or is used with another type.',
    todo: 'Close the other consumer, or use Failover, Shared or Key_Shared.',
  },
  CONSUMER_CLOSED: {
    class: 'fatal',
    means: 'The consumer or reader was closed.',
    todo: 'Subscribe again.',
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
  MESSAGE_TOO_LARGE: {
    class: 'fatal',
    means: 'The encoded message is larger than maxMessageBytes.',
    todo: 'Send a reference instead of the content, or raise maxMessageBytes.',
  },
  OUTPUT_FULL: {
    class: 'transient',
    means: 'The file system of an output has no room left.',
    todo: 'Free some; keymill writes on when there is room, and pushes back meanwhile.',
  },
  OUTPUT_UNWRITABLE: {
    class: 'fatal',
    means: 'An output folder or file cannot be written.',
    todo: 'Check its path and permissions.',
  },
  PORT_IN_USE: {
    class: 'fatal',
    means: 'The port for health and metrics is taken.',
    todo: 'Give another --port, or 0 for any free one.',
  },
  PRODUCER_BUSY: {
    class: 'transient',
    means: 'There is a producer of this name on the topic.',
    todo: 'Close it, or leave the name out.',
  },
  PRODUCER_FENCED: {
    class: 'fatal',
    means: 'The producer was shut out by another one with exclusive access.',
    todo: 'The other one has taken over; stop.',
  },
  PUBLISH_FAILED: {
    class: 'transient',
    means: 'The topic did not take the message (the cause says why).',
    todo: 'keymill retries it; look at the bus if it lasts.',
  },
  QUOTA_EXCEEDED: {
    class: 'transient',
    means: 'The backlog of the topic has reached its quota: the broker takes no more.',
    todo: 'Let the subscription that is behind catch up, remove one that nobody uses, or raise the quota.',
  },
  RECORD_BROKEN: {
    class: 'poison',
    means: 'A record of a source could not be read (file and line are named).',
    todo: 'Mend the record; onBroken decides whether it is dead-lettered or stops the source.',
  },
  REDIS_FENCED: {
    class: 'fatal',
    means: 'A write came with the token of a lease that another holder has taken over since.',
    todo: 'The other one has taken over; stop.',
  },
  REDIS_VALUE_TOO_LARGE: {
    class: 'fatal',
    means: 'A value is larger than the store takes.',
    todo: 'Split it, or raise maxValueBytes.',
  },
  REDIS_WRONG_KIND: {
    class: 'fatal',
    means: 'The key holds another kind of thing: a value, a versioned value, fields or a lease.',
    todo: 'Use one key for one kind; delete it to change that.',
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
  SCHEMA_REFUSED: {
    class: 'fatal',
    means: 'The topic does not accept this schema beside those it has.',
    todo: 'Change the schema in a way that its compatibility rule allows, or publish to another topic.',
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
  SQL_CONSTRAINT: {
    class: 'poison',
    means: 'A row was refused by a constraint of its table.',
    todo: 'Look at the row in the dead letter, and at the constraint that the message names.',
  },
  SQL_CURSOR_LOST: {
    class: 'transient',
    means: 'A row stream ended before its last row: its thread was replaced, or it was idle for too long.',
    todo: 'Read it again.',
  },
  SQL_FAILED: {
    class: 'unknown',
    means: 'The database refused a statement (the message says why).',
    todo: 'Look at the statement and its parameters.',
  },
  SQL_IDENTIFIER: {
    class: 'fatal',
    means: 'A name of a table or column is not one of the database.',
    todo: 'Check the spelling; names are never taken as SQL.',
  },
  SQL_TOO_LARGE: {
    class: 'poison',
    means: 'A row or a statement is larger than the database takes.',
    todo: 'Split it.',
  },
  SQL_UNAVAILABLE: {
    class: 'transient',
    means: 'The database cannot be reached, is locked, or is failing over.',
    todo: 'keymill retries it; look at the database if it lasts.',
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
  STORE_CORRUPT: {
    class: 'fatal',
    means: 'A file that keymill keeps data in cannot be read.',
    todo: 'Put it back from a backup, or move it away: keymill then starts with an empty one.',
  },
  STORE_IN_USE: {
    class: 'fatal',
    means: 'Another process, or another I/O actor, has this file open.',
    todo: 'Stop it, use another path, or a server where several processes share what is in it.',
  },
  STORE_READ_ONLY: {
    class: 'fatal',
    means: 'A file that keymill keeps data in cannot be written.',
    todo: 'Check its rights and those of its folder, and the mount.',
  },
  TABLE_NO_KEY: {
    class: 'fatal',
    means: 'The table has no primary key, so its changes cannot be told apart by row.',
    todo: 'Give it a primary key.',
  },
  TABLE_TRACKED_TWICE: {
    class: 'fatal',
    means: 'The same consumer already tracks this table.',
    todo: 'Add a listener to the tracker there is, or give this one a consumer name of its own.',
  },
  TABLE_UNKNOWN: {
    class: 'fatal',
    means: 'The database has no such table, or it may not be seen.',
    todo: 'Check the spelling and the rights of the user.',
  },
  TIMEOUT: {
    class: 'transient',
    means: 'An operation took longer than its time-out.',
    todo: 'Look at the dependency, or allow more time.',
  },
  TOPIC_INVALID: {
    class: 'fatal',
    means: 'The name of a topic or subscription is not allowed.',
    todo: 'Use tenant/namespace/name or a plain name of letters, digits, ".", "_", "-" and "=".',
  },
  TOPIC_MISSING: {
    class: 'fatal',
    means: 'There is no such topic.',
    todo: 'Make it, or allow it to be made at its first use.',
  },
  TOPIC_TERMINATED: {
    class: 'fatal',
    means: 'The topic was terminated: it takes no more messages.',
    todo: 'Publish to another topic.',
  },
  TOPOLOGY_MISSING: {
    class: 'fatal',
    means: 'The topology file could not be loaded, or it has no default export made by defineTopology.',
    todo: 'Check the path and write `export default defineTopology({ … })`.',
  },
  TRACKING_LOST: {
    class: 'fatal',
    means:
      'Changes were dropped before they were read: the position is below the oldest valid version, or the database went back.',
    todo: 'Read the table anew; a source of keymill does so by itself and says why.',
  },
  TRACKING_OFF: {
    class: 'fatal',
    means: 'Changes of the table are not tracked, or may not be seen (the minimum valid version is NULL).',
    todo: 'Turn change tracking on for the database and the table, or let keymill do so with `track`.',
  },
} as const satisfies Record<string, Row>;
