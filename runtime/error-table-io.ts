/** The codes of I/O actors, a part of the one table (error-table.ts). */
import type { ErrorRow } from './error-table.ts';

export const IO_ERRORS = {
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
  CACHE_KEY_INVALID: {
    class: 'fatal',
    means: 'A key or a tag of a cache is empty, too long, no text, or holds control characters.',
    todo: 'Use plain text of at most 1024 characters; hash what is longer.',
  },
  CACHE_LIFE_INVALID: {
    class: 'fatal',
    means: 'A life or a time-out that a cache was given is none: zero, negative, no number.',
    todo: 'Give milliseconds above zero; delete the key to remove it.',
  },
  CACHE_LOAD_FAILED: {
    class: 'unknown',
    means: 'The loader of another thread, whose load this one shared, failed (its words are in the message).',
    todo: 'Look at the loader; the thread that ran it has the whole error.',
  },
  CACHE_LOAD_TIMEOUT: {
    class: 'transient',
    means: 'A value was neither loaded nor had from elsewhere within hardTimeoutMs, and there was no stale one.',
    todo: 'Look at the source that the loader reads, or allow more time.',
  },
  CACHE_SET_GONE: {
    class: 'fatal',
    means: 'A version of a set that is no more: it was swapped out and cleared, or there was none before.',
    todo: 'Take a new view of the set.',
  },
  CACHE_SWAP_INCOMPLETE: {
    class: 'transient',
    means: 'A swap found less, or more, in the store than the set should have; the former set stays.',
    todo: 'Swap again; look at the memory of the store if it happens again.',
  },
  CACHE_SWAP_LOST: {
    class: 'transient',
    means: 'Another swapped the same set meanwhile; its set stands.',
    todo: 'Swap again if yours is the newer, or let one process at a time swap a set.',
  },
  CACHE_VALUE_INVALID: {
    class: 'fatal',
    means: 'A value that cannot be cached: a function, a symbol, a cycle, a property called __proto__, undefined.',
    todo: 'Cache data only; the message names the path of what cannot be kept.',
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
  REDIS_CROSS_SLOT: {
    class: 'fatal',
    means: 'One step would touch keys in different slots of a Redis cluster.',
    todo: 'Give what belongs together the same hash tag, as {order:7}total and {order:7}lines have.',
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
  SCHEMA_REFUSED: {
    class: 'fatal',
    means: 'The topic does not accept this schema beside those it has.',
    todo: 'Change the schema in a way that its compatibility rule allows, or publish to another topic.',
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
  SQL_FENCED: {
    class: 'fatal',
    means: 'A write came with the token of a lease that another replica has taken over since.',
    todo: 'The other one has taken over; a source stands by until the lease is free again.',
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
} as const satisfies Record<string, ErrorRow>;
