/** What `keymill doctor` says of who reads which table. */
import type { Finding } from '../../../runtime/index.ts';

export interface LeaderSeen {
  /** Of the lease: consumer and table. */
  readonly name: string;
  readonly owner: string;
  /** What is left of it, in ms by the database's clock; not positive: it ran out. */
  readonly leftMs: number;
}

export function leaderFindings(leaders: readonly LeaderSeen[], at: string): Finding[] {
  return leaders.map(({ name, owner, leftMs }) => {
    const seconds = (Math.abs(leftMs) / 1000).toFixed(1);
    return leftMs > 0
      ? {
          state: 'fine',
          symptom: `one replica reads for ${name}`,
          evidence: `${at}: ${owner} leads, ${seconds} s more if it shows no sign of life`,
          fix: null,
        }
      : {
          state: 'doubtful',
          symptom: `nobody reads for ${name}: its changes wait`,
          evidence: `${at}: the lease of ${owner} ended ${seconds} s ago`,
          fix: 'Start a replica. Where it is read without `leader` now, delete its row in keymill_leaders.',
        };
  });
}
