/**
 * Leases of who reads a table, and the fence of what their holders write. Ends are by the server's clock. A token is at least
 * that time in ms too, so that it rises though the table was lost or the database restored.
 */

import type { Fence } from '../../driver.ts';
import { type Command, command, type Parameter } from '../command.ts';
import { WAS_FENCED } from '../errors.ts';
import { ownTable } from './own.ts';

const NOW = 'SYSUTCDATETIME()';

/** Answers owner, token, ms left, mark, and whether it was taken now. */
export function takeLeadCommand(
  schema: string,
  { lease, owner, leaseMs }: { lease: string; owner: string; leaseMs: number },
): Command {
  const table = ownTable(schema, 'keymill_leaders');
  return command(
    'take-lead',
    `SET NOCOUNT ON;
SET XACT_ABORT ON;
DECLARE @kmNow datetime2(3) = ${NOW};
DECLARE @kmLeast bigint = DATEDIFF_BIG(MILLISECOND, '1970-01-01', @kmNow);
DECLARE @kmTaken bit = 0;
BEGIN TRANSACTION;
UPDATE l
SET
  l.owner = @kmOwner,
  l.token = CASE WHEN l.token >= @kmLeast THEN l.token + 1 ELSE @kmLeast END,
  l.ends_at = DATEADD(MILLISECOND, CONVERT(int, @kmLeaseMs), @kmNow)
FROM ${table} AS l WITH (UPDLOCK, HOLDLOCK)
WHERE l.name = @kmLease AND (l.ends_at <= @kmNow OR l.owner = @kmOwner);
IF @@ROWCOUNT = 1 SET @kmTaken = 1;
IF @kmTaken = 0
BEGIN
  INSERT INTO ${table} (name, owner, token, ends_at, mark)
  SELECT @kmLease, @kmOwner, @kmLeast, DATEADD(MILLISECOND, CONVERT(int, @kmLeaseMs), @kmNow), NULL
  WHERE NOT EXISTS (SELECT 1 FROM ${table} AS o WITH (UPDLOCK, HOLDLOCK) WHERE o.name = @kmLease);
  IF @@ROWCOUNT = 1 SET @kmTaken = 1;
END;
SELECT l.owner, l.token, DATEDIFF_BIG(MILLISECOND, @kmNow, l.ends_at), l.mark, @kmTaken
FROM ${table} AS l
WHERE l.name = @kmLease;
COMMIT TRANSACTION;`,
    [
      { name: 'kmLease', kind: 'text', value: lease },
      { name: 'kmOwner', kind: 'text', value: owner },
      { name: 'kmLeaseMs', kind: 'bigint', value: Math.ceil(leaseMs) },
    ],
  );
}

/** Answers 1, or 0 where another has taken it. With no time it is given back. */
export function renewLeadCommand(
  schema: string,
  { lease, token, leaseMs }: { lease: string; token: number; leaseMs: number },
): Command {
  const table = ownTable(schema, 'keymill_leaders');
  return command(
    'renew-lead',
    `SET NOCOUNT ON;
UPDATE l
SET l.ends_at = DATEADD(MILLISECOND, CONVERT(int, @kmLeaseMs), ${NOW})
FROM ${table} AS l
WHERE l.name = @kmLease AND l.token = @kmToken;
SELECT @@ROWCOUNT;`,
    [
      { name: 'kmLease', kind: 'text', value: lease },
      { name: 'kmToken', kind: 'bigint', value: token },
      { name: 'kmLeaseMs', kind: 'bigint', value: Math.ceil(leaseMs) },
    ],
  );
}

/** First in a transaction under a lease: a token below the highest seen ends that transaction; a higher one is remembered. */
export function checkingFence(schema: string): string {
  const table = ownTable(schema, 'keymill_leaders');
  return `UPDATE l
SET l.token = @kmToken, l.mark = COALESCE(@kmMark, l.mark)
FROM ${table} AS l WITH (UPDLOCK, HOLDLOCK)
WHERE l.name = @kmLease AND l.token <= @kmToken;
IF @@ROWCOUNT = 0
BEGIN
  IF EXISTS (SELECT 1 FROM ${table} AS o WITH (UPDLOCK, HOLDLOCK) WHERE o.name = @kmLease)
    THROW ${WAS_FENCED}, N'keymill: the lease was taken over', 1;
  INSERT INTO ${table} (name, owner, token, ends_at, mark)
  VALUES (@kmLease, N'', @kmToken, '1970-01-01', @kmMark);
END;
`;
}

export function fenceParameters({ lease, token, mark }: Fence): Parameter[] {
  return [
    { name: 'kmLease', kind: 'text', value: lease },
    { name: 'kmToken', kind: 'bigint', value: token },
    { name: 'kmMark', kind: 'text', value: mark ?? null },
  ];
}

/** Remembers a token that was given elsewhere. */
export function seeTokenCommand(schema: string, fence: Fence): Command {
  return command(
    'see-token',
    `SET NOCOUNT ON;
SET XACT_ABORT ON;
BEGIN TRANSACTION;
${checkingFence(schema)}COMMIT TRANSACTION;`,
    fenceParameters(fence),
  );
}

/** A write of own.ts under a lease: its transaction begins with the fence. */
export function fenced(schema: string, write: Command, fence: Fence): Command {
  const begin = 'BEGIN TRANSACTION;\n';
  const sql = write.sql
    .replace(`/* keymill:${write.name} */\n`, '')
    .replace(begin, () => begin + checkingFence(schema));
  return command(`${write.name}-fenced`, sql, [...write.params, ...fenceParameters(fence)]);
}

/** Who leads: name, owner, token, ms left. For `doctor`. */
export function leadersCommand(schema: string): Command {
  return command(
    'leaders',
    `SELECT l.name, l.owner, l.token, DATEDIFF_BIG(MILLISECOND, ${NOW}, l.ends_at)
FROM ${ownTable(schema, 'keymill_leaders')} AS l
WHERE l.owner <> N''
ORDER BY l.name;`,
  );
}
