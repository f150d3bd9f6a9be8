/** What `keymill doctor` looks at in a file: who of several replicas reads which table. Changes nothing. */
import { existsSync } from 'node:fs';
import type { Finding } from '../../../runtime/index.ts';
import { leaderFindings } from '../changes/leader-findings.ts';
import { Database, type DatabaseOptions } from './database.ts';
import { leadersIn } from './leases.ts';

export function examineFile(path: string, options: DatabaseOptions): readonly Finding[] {
  if (!existsSync(path)) return [];
  const db = new Database(path, options);
  try {
    return leaderFindings(leadersIn(db), path);
  } finally {
    db.close();
  }
}
