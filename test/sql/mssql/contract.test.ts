import { sqlContract } from '../../contract/sql.ts';
import { openMssql } from './bench.ts';

sqlContract('mssql', () => openMssql());
sqlContract('mssql without snapshots', () => openMssql({ io: { snapshot: false } }));
sqlContract('mssql where versions in a snapshot are those of its beginning', () =>
  openMssql({ server: { unsure: { currentVersion: 'snapshot', minValidVersion: 'snapshot' } } }),
);
sqlContract('mssql of before 2016, whose rows go by bulk load', async () => {
  const bench = await openMssql();
  await bench.server.setLevel(120);
  return bench;
});
