/** What `keymill doctor` looks at in a SQL Server: what would make it miss changes, read them anew, or stand still. Changes nothing. */
import { asError, type Environment, type Finding, isKeymillError, type Log } from '../../../runtime/index.ts';
import { type LeaderSeen, leaderFindings } from '../changes/leader-findings.ts';
import type { SqlValue } from '../contract.ts';
import type { Command } from './command.ts';
import { Connection } from './connection.ts';
import type { MssqlOptions } from './server-options.ts';
import { leadersCommand } from './statements/leaders.ts';
import { CAPTURE_LAG, CLEANUP, ENCRYPTION, HEALTH, TRACKED_TABLES } from './statements/server.ts';

/** SQL Server 2016: what the driver is made for. */
const NEEDED_VERSION = 13;
const JSON_LEVEL = 130;
/** READINGS: changes are kept for a day at least. */
const RETENTION_HOURS = 24;
/** The clean-up runs every half hour. */
const CLEANUP_LATE_HOURS = 3;
const CAPTURE_LATE_S = 60;
const SLOW_MS = 20;
const HOURS: Readonly<Record<string, number>> = { MINUTES: 1 / 60, HOURS: 1, DAYS: 24 };

type Say = (state: Finding['state'], symptom: string, evidence: string, fix?: string | null) => void;
type Rows = readonly (readonly SqlValue[])[];

/** Throws SQL_UNAVAILABLE, ACCESS_REFUSED, CONFIG_INVALID where it cannot be looked at at all. */
export async function examineServer(
  options: MssqlOptions,
  environment: Environment,
  log: Log,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const { text } = options.connect.address;
  const say: Say = (state, symptom, evidence, fix = null) =>
    void findings.push({ state, symptom, evidence: `${text}: ${evidence}`, fix });
  const connection = await Connection.open(options.connect, environment, log);
  try {
    const ask = async (command: Command): Promise<Rows> => (await connection.run(command)).sets[0]?.rows ?? [];
    const began = environment.clock.now();
    const [health = []] = await ask(HEALTH);
    reachFindings(health, environment.clock.now() - began, options, say);
    await encryptionFinding(options, ask, say);
    snapshotFinding(health, options, say);
    if (health[7] === null || health[7] === undefined)
      say(
        'doubtful',
        'no table can be read for changes by Change Tracking',
        'Change Tracking is off for the database',
        'ALTER DATABASE … SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 2 DAYS, AUTO_CLEANUP = ON), or read with track: true.',
      );
    else {
      trackingFindings(health, say);
      await cleanupFinding(health, ask, say);
      tableFindings(await ask(TRACKED_TABLES), say);
    }
    if (health[6] === true) await captureFinding(ask, say);
    findings.push(...leaderFindings(await leadersOf(options, ask), text));
    return findings;
  } finally {
    connection.close();
  }
}

function reachFindings(health: readonly SqlValue[], ms: number, options: MssqlOptions, say: Say): void {
  const [version, edition, updateability, level] = health;
  const major = Number.parseInt(String(version), 10);
  const what = `version ${version}, ${edition}, compatibility level ${level}`;
  if (major < NEEDED_VERSION)
    say('wrong', 'statements of the driver may be refused', what, 'Use SQL Server 2016 or newer.');
  else if (Number(level) < JSON_LEVEL)
    say(
      'doubtful',
      'each batch of writes takes four round trips more',
      what,
      'Set the compatibility level of the database to 130 or more.',
    );
  else say('fine', 'it answers, and has what the driver uses', what);
  if (updateability !== 'READ_WRITE')
    say(
      options.connect.readOnlyIntent ? 'fine' : 'wrong',
      'writes are refused, and Change Tracking cannot be read',
      `the database is ${updateability}`,
      options.connect.readOnlyIntent ? null : 'Name the primary, or the listener of the group.',
    );
  if (ms > SLOW_MS)
    say('doubtful', 'asks take long', `one took ${ms.toFixed(1)} ms`, 'Put keymill nearer to the server.');
}

/** The server tells it only to those with VIEW SERVER STATE; else the options do. */
async function encryptionFinding(
  { connect: { tls } }: MssqlOptions,
  ask: (command: Command) => Promise<Rows>,
  say: Say,
): Promise<void> {
  const seen = await ask(ENCRYPTION).catch(() => null);
  const isPlain = seen ? String(seen[0]?.[0]).toUpperCase() === 'FALSE' : tls.mode === 'off';
  const evidence = `encrypted: ${!isPlain}, certificate checked: ${tls.checks && tls.mode !== 'off'}`;
  if (isPlain)
    say(
      'doubtful',
      'who is on the network can read and change all',
      evidence,
      'Leave tls.disabled out, off this machine.',
    );
  else if (!tls.checks)
    say(
      'doubtful',
      'who is in between can read and change all',
      evidence,
      'Name the authority of the certificate in tls.ca, and leave tls.trustServerCertificate out.',
    );
  else say('fine', 'the connection is private', evidence);
}

function snapshotFinding(health: readonly SqlValue[], { snapshot, requireSnapshot }: MssqlOptions, say: Say): void {
  const state = Number(health[4]);
  const evidence = `snapshot_isolation_state ${state}`;
  if (state === 1) say('fine', 'pages of changes are of one moment', evidence);
  else
    say(
      requireSnapshot ? 'wrong' : snapshot ? 'doubtful' : 'fine',
      requireSnapshot ? 'changes are not read' : 'more changes come twice, and a row may come before what it points at',
      evidence,
      'ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON.',
    );
}

function trackingFindings(health: readonly SqlValue[], say: Say): void {
  const [isAuto, period, units] = health.slice(7);
  const hours = Number(period) * (HOURS[String(units).toUpperCase()] ?? 0);
  const evidence = `CHANGE_RETENTION ${period} ${units}, AUTO_CLEANUP ${Number(isAuto) === 1 ? 'ON' : 'OFF'}`;
  if (Number(isAuto) !== 1)
    say(
      'doubtful',
      'tracked changes are never cleaned up, and grow',
      evidence,
      'ALTER DATABASE … SET CHANGE_TRACKING (AUTO_CLEANUP = ON).',
    );
  else if (hours < RETENTION_HOURS)
    say(
      'wrong',
      `an outage of more than ${hours} hours makes all tables be read anew`,
      evidence,
      'ALTER DATABASE … SET CHANGE_TRACKING (CHANGE_RETENTION = 2 DAYS).',
    );
  else say('fine', 'changes are kept longer than a day', evidence);
}

/** Once dead it stays so until the server restarts (reference 1.5). */
async function cleanupFinding(
  health: readonly SqlValue[],
  ask: (command: Command) => Promise<Rows>,
  say: Say,
): Promise<void> {
  if (Number(health[7]) !== 1) return;
  try {
    const [row] = await ask(CLEANUP);
    const last = row?.[0];
    if (!(last instanceof Date)) return;
    const hours = ((row![1] as Date).getTime() - last.getTime()) / 3_600_000;
    if (hours > CLEANUP_LATE_HOURS)
      say(
        'doubtful',
        'old changes are not cleaned up any more: reads of changes become slow',
        `the clean-up last began ${hours.toFixed(1)} hours ago`,
        'Look for messages 22122 and 22123 in the log of the server; EXEC sys.sp_flush_CT_internal_table_on_demand cleans up by hand; the clean-up itself comes back with a restart or a failover.',
      );
    else say('fine', 'old changes are cleaned up', `the clean-up last began ${hours.toFixed(1)} hours ago`);
  } catch {
    // The table is made by the first clean-up, and not for everybody.
  }
}

function tableFindings(rows: Rows, say: Say): void {
  const named = (row: readonly SqlValue[]): string => `${row[0]}.${row[1]}`;
  const hidden = rows.filter(row => row[2] === null);
  const blind = rows.filter(row => Number(row[4]) !== 1);
  if (hidden.length > 0)
    say(
      'wrong',
      'changes of these tables cannot be read (TRACKING_OFF)',
      `the oldest valid version is NULL: ${hidden.map(named).join(', ')}`,
      'GRANT VIEW CHANGE TRACKING on them.',
    );
  if (blind.length > 0)
    say(
      'wrong',
      'rows of these tables cannot be read',
      `no SELECT: ${blind.map(named).join(', ')}`,
      'GRANT SELECT on them.',
    );
  const rough = rows.filter(row => Number(row[3]) !== 1);
  if (rough.length > 0)
    say(
      'fine',
      'an UPDATE of these tables does not tell which columns it changed',
      `TRACK_COLUMNS_UPDATED is OFF: ${rough.map(named).join(', ')}`,
      null,
    );
  if (hidden.length + blind.length === 0) say('fine', 'tracked tables can be read', `${rows.length} of them`);
}

/** None where there is no such table, or it may not be read. */
async function leadersOf(
  { ownSchema }: MssqlOptions,
  ask: (command: Command) => Promise<Rows>,
): Promise<readonly LeaderSeen[]> {
  const rows = await ask(leadersCommand(ownSchema)).catch((): Rows => []);
  return rows.map(([name, owner, , leftMs]) => ({
    name: String(name),
    owner: String(owner),
    leftMs: Number(leftMs),
  }));
}

async function captureFinding(ask: (command: Command) => Promise<Rows>, say: Say): Promise<void> {
  try {
    const [row = []] = await ask(CAPTURE_LAG);
    const [lag, instances] = row;
    if (Number(instances) === 0) return;
    if (lag === null || lag === undefined)
      say(
        'wrong',
        'CDC gives no changes, and no error',
        'nothing was captured yet',
        'Start SQL Server Agent and the capture job.',
      );
    else if (Number(lag) > CAPTURE_LATE_S)
      say(
        'doubtful',
        'CDC gives changes late, or its capture has stopped',
        `the newest captured transaction is ${lag} s old`,
        'Look at sys.dm_cdc_errors and at the capture job; a quiet database writes a mark about every 5 minutes.',
      );
    else say('fine', 'CDC keeps up', `the newest captured transaction is ${lag} s old`);
  } catch (error) {
    if (isKeymillError(error, 'ACCESS_REFUSED')) return;
    say('doubtful', 'CDC could not be looked at', asError(error).message, null);
  }
}
