/** `trackChanges`: a loop of looks in the thread that asks, each an ask for a page (S2, S3). */
import type { ChangeItem, ReadOptions, TrackChangesOptions, Tracked } from '../contract.ts';
import type { ChangePage } from '../driver.ts';
import type { ChangeCursor } from '../ops.ts';
import { Ahead } from './ahead.ts';
import { lost } from './lost.ts';
import { Pauses, pause } from './pause.ts';

interface Looking {
  tracked(): Promise<Tracked>;
  page(after: ChangeCursor, baseline: number, options: ReadOptions): Promise<ChangePage>;
}

const clock = {
  after(ms: number, fn: () => void) {
    const timer = setTimeout(fn, ms);
    return { cancel: () => clearTimeout(timer) };
  },
};

export async function* trackChanges(
  looking: Looking,
  { since, pollMs, awaitMs, emptyLimit, signal, ...read }: TrackChangesOptions,
): AsyncGenerator<ChangeItem[]> {
  const pauses = new Pauses(pollMs);
  const first = await looking.tracked();
  let after: ChangeCursor = { version: since ?? first.current, pk: null };
  let baseline = after.version;
  const ahead = new Ahead({
    ask: (cursor: ChangeCursor) => looking.page(cursor, baseline, read),
    connection: () => 0, // not known here; what a page says of its database is looked at
    endOfTurn: sent => sent(),
  });
  try {
    while (!signal?.aborted) {
      const page = await ahead.take(after);
      if (page.incarnation !== first.incarnation)
        throw lost('trackChanges', 'incarnation', 'another database stands in the place of the one that was read');
      if (typeof first.began === 'number' && typeof page.began === 'number' && page.began !== first.began)
        throw lost('trackChanges', 'truncated', 'the table was truncated, or its tracking turned off and on');
      after = page.next;
      if (page.isLast) baseline = after.version;
      else await ahead.begin(after);
      if (page.changes.length > 0) yield [...page.changes];
      if (!page.isLast) continue;
      const ms = pauses.after(page.changes.length > 0);
      if (emptyLimit !== undefined && pauses.empty >= emptyLimit) return;
      await pause(clock, awaitMs && pauses.empty > 0 ? awaitMs(pauses.empty) : ms, ...(signal ? [signal] : []));
    }
  } finally {
    await ahead.end();
  }
}
