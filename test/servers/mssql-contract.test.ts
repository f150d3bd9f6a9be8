/** The conformance suite on a real SQL Server. */
import { describe } from 'vitest';
import { sqlContract } from '../contract/sql.ts';
import { openReal, withoutReal } from '../sql/mssql/real.ts';

describe.skipIf(withoutReal())('a real SQL Server', () => {
  sqlContract('mssql:', openReal);
});
