/**
 * Leases of who reads a table, in `keymill_leaders`: `ends_at` in ms since 1970, by the clock of the machine that SQLite runs
 * on, which is that of all processes that have the file open. A token is at least that time too, so that it rises though the
 * table was lost or the file put back.
 */
import { KeymillError } from '../../../runtime/index.ts';
import type { LeaderSeen } from '../changes/leader-findings.ts';
import type { Fence, LeaseState, Leases } from '../driver.ts';
import type { Database } from './database.ts';

const TABLE = `CREATE TABLE IF NOT EXISTS keymill_leaders (
  name TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL, token INTEGER NOT NULL, ends_at INTEGER NOT NULL, mark TEXT
) WITHOUT ROWID`;
const NOW_MS = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

interface Connections {
  readonly writer: Database;
  readonly reader: Database;
}

/** `open` gives the connections of now. */
export function leasesOf(open: () => Connections): Leases {
  return {
    async take(lease, owner, leaseMs) {
      const { writer, reader } = open();
      // Looking locks nobody out: only a lease that can be taken is written.
      const before = hasLeaders(reader) ? stateOf(reader, lease, owner) : null;
      if (before && before.leftMs > 0 && !before.isMine) return before;
      return writer.transaction('IMMEDIATE', () => {
        writer.exec(TABLE);
        const taken = writer.run(
          `INSERT INTO keymill_leaders VALUES (@lease, @owner, ${NOW_MS}, ${NOW_MS} + @leaseMs, NULL)
           ON CONFLICT DO UPDATE SET owner = excluded.owner, token = max(token + 1, excluded.token),
             ends_at = excluded.ends_at
           WHERE ends_at <= ${NOW_MS} OR owner = excluded.owner`,
          { lease, owner, leaseMs: Math.ceil(leaseMs) },
        );
        return { ...stateOf(writer, lease, owner)!, isMine: taken === 1 };
      });
    },
    async renew(lease, token, leaseMs) {
      const { writer } = open();
      if (!hasLeaders(writer)) return false;
      const renewed = writer.run(
        `UPDATE keymill_leaders SET ends_at = ${NOW_MS} + @leaseMs WHERE name = @lease AND token = @token`,
        { lease, token, leaseMs: Math.ceil(leaseMs) },
      );
      return renewed === 1;
    },
    async release(lease, token) {
      const { writer } = open();
      if (hasLeaders(writer))
        writer.run(`UPDATE keymill_leaders SET ends_at = ${NOW_MS} WHERE name = @lease AND token = @token`, {
          lease,
          token,
        });
    },
    async see(lease, token) {
      const { writer } = open();
      writer.transaction('IMMEDIATE', () => {
        writer.exec(TABLE);
        checkFence(writer, { lease, token });
      });
    },
  };
}

/** In the transaction of the write that it fences. Throws SQL_FENCED. */
export function checkFence(db: Database, { lease, token, mark }: Fence): void {
  db.exec(TABLE);
  const passed = db.run(
    `INSERT INTO keymill_leaders VALUES (@lease, '', @token, 0, @mark)
     ON CONFLICT DO UPDATE SET token = excluded.token, mark = coalesce(excluded.mark, mark)
     WHERE token <= excluded.token`,
    { lease, token, mark: mark ?? null },
  );
  if (passed === 1) return;
  const { token: seen } = db.first('SELECT token FROM keymill_leaders WHERE name = @lease', { lease })!;
  throw new KeymillError('SQL_FENCED', `token ${token} of ${lease} was taken over by ${String(seen)}`);
}

/** Who leads what, for `doctor`. */
export function leadersIn(db: Database): LeaderSeen[] {
  if (!hasLeaders(db)) return [];
  return db
    .all(`SELECT name, owner, ends_at - ${NOW_MS} AS leftMs FROM keymill_leaders WHERE owner <> '' ORDER BY name`)
    .map(row => ({ name: String(row['name']), owner: String(row['owner']), leftMs: Number(row['leftMs']) }));
}

function stateOf(db: Database, lease: string, owner: string): LeaseState | null {
  const row = db.first(
    `SELECT owner, token, ends_at - ${NOW_MS} AS leftMs, mark FROM keymill_leaders WHERE name = @lease`,
    { lease },
  );
  if (!row) return null;
  const {
    owner: its,
    token,
    leftMs,
    mark,
  } = row as { owner: string; token: number; leftMs: number; mark: string | null };
  return { isMine: its === owner && leftMs > 0, owner: its, token, leftMs, mark };
}

function hasLeaders(db: Database): boolean {
  return db.first("SELECT 1 AS one FROM sqlite_schema WHERE type = 'table' AND name = 'keymill_leaders'") !== undefined;
}
