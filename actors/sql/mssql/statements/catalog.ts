/** What the catalog says of a table: names and types come from there and from nowhere else. */
import { type Command, command } from '../command.ts';

/**
 * Changes with whatever changes the meaning of a statement about the table: its columns, their types, an ALTER. Over a
 * `sys.objects AS o`.
 */
export const STAMP = `CONCAT(
    CONVERT(nvarchar(34), o.modify_date, 126),
    N' ',
    (
      SELECT CONCAT(COUNT(*), N' ', CHECKSUM_AGG(BINARY_CHECKSUM(
        x.column_id, x.name, x.system_type_id, x.max_length, x.[precision], x.[scale], x.is_computed, x.collation_name
      )))
      FROM sys.columns AS x
      WHERE x.object_id = o.object_id
    )
  )`;

const FIND = `SELECT TOP (1) o.object_id
FROM sys.tables AS o
INNER JOIN sys.schemas AS s ON s.schema_id = o.schema_id
WHERE (o.name = @kmName AND s.name = SCHEMA_NAME()) OR s.name + N'.' + o.name = @kmName
ORDER BY CASE WHEN s.name = SCHEMA_NAME() AND o.name = @kmName THEN 0 ELSE 1 END`;

/**
 * Two answers. The table: object_id, schema, name, whether it is of the user's own schema, whether tracked, whether columns
 * are, stamp. Its columns, by their order: column_id, name, type, max_length, precision, scale, collation, nullable,
 * computed (also: written by the server alone), identity, place in the primary key (NULL outside).
 */
export function tableCommand(name: string): Command {
  return command(
    'table',
    `DECLARE @kmObject int = (
  ${FIND}
);
SELECT
  o.object_id,
  s.name,
  o.name,
  CASE WHEN s.name = SCHEMA_NAME() THEN 1 ELSE 0 END,
  CASE WHEN t.object_id IS NULL THEN 0 ELSE 1 END,
  t.is_track_columns_updated_on,
  ${STAMP}
FROM sys.objects AS o
INNER JOIN sys.schemas AS s ON s.schema_id = o.schema_id
LEFT JOIN sys.change_tracking_tables AS t ON t.object_id = o.object_id
WHERE o.object_id = @kmObject;
SELECT
  c.column_id,
  c.name,
  y.name,
  c.max_length,
  c.[precision],
  c.[scale],
  c.collation_name,
  c.is_nullable,
  CASE WHEN c.is_computed = 1 OR c.generated_always_type <> 0 OR y.name = N'timestamp' THEN 1 ELSE 0 END,
  c.is_identity,
  k.key_ordinal
FROM sys.columns AS c
LEFT JOIN sys.types AS y ON y.user_type_id = c.system_type_id
LEFT JOIN sys.indexes AS i ON i.object_id = c.object_id AND i.is_primary_key = 1
LEFT JOIN sys.index_columns AS k
  ON k.object_id = i.object_id AND k.index_id = i.index_id AND k.column_id = c.column_id AND k.key_ordinal > 0
WHERE c.object_id = @kmObject
ORDER BY c.column_id;`,
    [{ name: 'kmName', kind: 'text', value: name }],
  );
}
