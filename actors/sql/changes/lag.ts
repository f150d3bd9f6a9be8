/**
 * How far a reader is behind its table, graded as the seed grades gaps (G6.8). Versions skip by nature (READINGS), so a gap
 * is never loss: the classes grade lag, and the reasons of a resync. Only those cause one.
 */
import type { ResyncReason } from '../contract.ts';

export type Severity = 'none' | 'minor' | 'moderate' | 'major' | 'critical';

/** G6.8: 1 to 10 versions, 10 to 100, more than that. */
const MODERATE = 10;
const MAJOR = 100;

export function severityOfLag(versions: number): Severity {
  if (versions > MAJOR) return 'major';
  if (versions > MODERATE) return 'moderate';
  return versions > 0 ? 'minor' : 'none';
}

/** Critical: all versions known so far may mean something else now. */
export function severityOfResync(reason: ResyncReason): Severity {
  if (reason === 'went-back' || reason === 'incarnation') return 'critical';
  return reason === 'initial' ? 'none' : 'major';
}
