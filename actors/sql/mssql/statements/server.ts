/** What is asked of the server and the database as such. */
import { type Command, command } from '../command.ts';

export const ALIVE: Command = command('alive', 'SELECT 1 AS one;');

/** One row: see `ServerFacts`. Asked once for each driver, and again when a connection was lost. */
export const SERVER: Command = command(
  'server',
  `SELECT
  d.compatibility_level,
  d.snapshot_isolation_state,
  d.is_read_only,
  HAS_PERMS_BY_NAME(QUOTENAME(DB_NAME()), N'DATABASE', N'VIEW DATABASE STATE'),
  SCHEMA_NAME()
FROM sys.databases AS d
WHERE d.database_id = DB_ID();`,
);

export interface ServerFacts {
  readonly compatibility: number;
  /** Snapshots may be begun. */
  readonly allowsSnapshots: boolean;
  readonly isReadOnly: boolean;
  /** When changes were committed can be told. */
  readonly tellsCommitTimes: boolean;
  readonly schema: string;
}

/** snapshot_isolation_state: 1 is on; 0, 2 and 3 are off or on their way. */
export function serverFacts(row: readonly unknown[]): ServerFacts {
  const [compatibility, snapshots, readOnly, commitTimes, schema] = row;
  return {
    compatibility: Number(compatibility),
    allowsSnapshots: Number(snapshots) === 1,
    isReadOnly: Boolean(readOnly),
    tellsCommitTimes: Number(commitTimes) === 1,
    schema: String(schema ?? 'dbo'),
  };
}

/**
 * What tells one life of a database from another: the fork that a restore or a forced failover begins, else when it was
 * made (reference sql-server-and-tds 1.7). An expression list over `sys.databases AS d` and `sys.database_recovery_status AS f`.
 */
export const LIFE = `CONVERT(nvarchar(36), f.database_guid),
  CONVERT(nvarchar(36), f.recovery_fork_guid),
  CONVERT(nvarchar(34), d.create_date, 126)`;

export const LIFE_FROM = `sys.databases AS d
LEFT JOIN sys.database_recovery_status AS f ON f.database_id = d.database_id`;

/** For `doctor`: version, edition, encryption of this very session, and what Change Tracking and CDC look like. */
export const HEALTH: Command = command(
  'health',
  `SELECT
  CONVERT(nvarchar(128), SERVERPROPERTY(N'ProductVersion')),
  CONVERT(nvarchar(128), SERVERPROPERTY(N'Edition')),
  CONVERT(nvarchar(60), DATABASEPROPERTYEX(DB_NAME(), N'Updateability')),
  d.compatibility_level,
  d.snapshot_isolation_state,
  d.is_read_committed_snapshot_on,
  d.is_cdc_enabled,
  t.is_auto_cleanup_on,
  t.retention_period,
  t.retention_period_units_desc,
  CHANGE_TRACKING_CURRENT_VERSION(),
  HAS_PERMS_BY_NAME(QUOTENAME(DB_NAME()), N'DATABASE', N'VIEW DATABASE STATE'),
  HAS_PERMS_BY_NAME(QUOTENAME(DB_NAME()), N'DATABASE', N'CREATE TABLE'),
  CONVERT(nvarchar(5), CONNECTIONPROPERTY(N'net_transport'))
FROM sys.databases AS d
LEFT JOIN sys.change_tracking_databases AS t ON t.database_id = d.database_id
WHERE d.database_id = DB_ID();`,
);

/** Needs VIEW SERVER STATE on most editions. */
export const ENCRYPTION: Command = command(
  'encryption',
  'SELECT c.encrypt_option FROM sys.dm_exec_connections AS c WHERE c.session_id = @@SPID;',
);

/** Tables that are tracked: name, oldest valid version (NULL without the grant), whether columns are told apart, grants. */
export const TRACKED_TABLES: Command = command(
  'tracked-tables',
  `SELECT TOP (1000)
  s.name,
  o.name,
  CHANGE_TRACKING_MIN_VALID_VERSION(t.object_id),
  t.is_track_columns_updated_on,
  HAS_PERMS_BY_NAME(QUOTENAME(s.name) + N'.' + QUOTENAME(o.name), N'OBJECT', N'SELECT'),
  HAS_PERMS_BY_NAME(QUOTENAME(s.name) + N'.' + QUOTENAME(o.name), N'OBJECT', N'VIEW CHANGE TRACKING')
FROM sys.change_tracking_tables AS t
INNER JOIN sys.objects AS o ON o.object_id = t.object_id
INNER JOIN sys.schemas AS s ON s.schema_id = o.schema_id
ORDER BY s.name, o.name;`,
);

/** When the clean-up last ran; the table is made by its first run. Needs a grant that few have. */
export const CLEANUP: Command = command(
  'cleanup',
  'SELECT MAX(h.start_time), SYSUTCDATETIME() FROM dbo.MSchange_tracking_history AS h;',
);

/** How old the newest captured transaction is, in seconds; NULL where nothing was captured. */
export const CAPTURE_LAG: Command = command(
  'capture-lag',
  `SELECT
  DATEDIFF(SECOND, sys.fn_cdc_map_lsn_to_time(sys.fn_cdc_get_max_lsn()), GETDATE()),
  (SELECT COUNT(*) FROM cdc.change_tables);`,
);
