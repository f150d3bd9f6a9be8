import { openSqlite } from '../sql/support.ts';
import { sqlContract } from './sql.ts';

sqlContract('sqlite', () => openSqlite());
sqlContract('sqlite without snapshots', () => openSqlite({ snapshot: false }));
