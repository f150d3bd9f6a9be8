/** Pictures of cells and keys for snapshots and operators. */
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { ActorSnapshot, Depths } from '../observe/stats.ts';
import type { Cell } from './cell.ts';

const HOT_KEYS = 10;

export interface KeyReport {
  key: string;
  depth: number;
  bytes: number;
  standing: string;
  paused: boolean;
  parked: number;
  failures: number;
  oldestMs: number;
  /** Id of the message at the front. */
  head: string | undefined;
  lastError: string | undefined;
}

export function inspectKey(cell: Cell, mailbox: Mailbox, now: number): KeyReport {
  return {
    key: String(mailbox.key),
    depth: mailbox.count,
    bytes: mailbox.bytes,
    standing: cell.stopped ? 'actor stopped' : mailbox.notBefore > now ? 'backing off' : mailbox.standing,
    paused: mailbox.paused,
    parked: mailbox.parked,
    failures: mailbox.failures,
    oldestMs: mailbox.head ? now - mailbox.head.arrivedAt : 0,
    head: mailbox.head?.id,
    lastError: mailbox.head?.history?.at(-1)?.message,
  };
}

/** Messages in the mailboxes of each actor, as they are counted: no mailbox is looked at. */
export function depthsOf(cells: readonly (Cell | null)[]): Depths {
  const depths: Record<string, number> = {};
  for (const cell of cells) if (cell) depths[cell.name] = cell.stats.depth;
  return depths;
}

/** Looks at every mailbox. */
export function snapshotCell(cell: Cell, now: number): ActorSnapshot {
  let deepest = 0;
  let oldest = now;
  const hot: Mailbox[] = [];
  for (const mailbox of cell.mailboxes()) {
    if (mailbox.head === null) continue;
    if (mailbox.count > deepest) deepest = mailbox.count;
    if (mailbox.head.arrivedAt < oldest) oldest = mailbox.head.arrivedAt;
    if (hot.length < HOT_KEYS || mailbox.count > hot[hot.length - 1]!.count) {
      hot.push(mailbox);
      hot.sort((a, b) => b.count - a.count);
      if (hot.length > HOT_KEYS) hot.pop();
    }
  }
  for (let batch = cell.oldestRunning; batch !== null; batch = batch.next)
    for (const item of batch.items) if (item.arrivedAt < oldest) oldest = item.arrivedAt;
  return {
    ...cell.stats.figures(),
    queueing: cell.stats.queueing.words,
    observed: cell.stats.observedWords(),
    processing: cell.stats.processing.words,
    endToEnd: cell.stats.endToEnd.words,
    capacity: cell.limitMessages,
    deepest,
    oldestUnsettledMs: now - oldest,
    hotKeys: hot.map(mailbox => {
      const { key, depth, oldestMs, failures, standing } = inspectKey(cell, mailbox, now);
      return { key, depth, ageMs: oldestMs, failures, state: standing };
    }),
    stopped: cell.stopped,
  };
}
