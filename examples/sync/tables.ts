import type { SqlClient } from '../../actors/sql/contract.ts';

export const TABLES = ['Airports', 'Flights'] as const;

/** Makes the two tables where they are missing. */
export async function makeTables(sql: SqlClient): Promise<void> {
  await sql.execute(
    'CREATE TABLE IF NOT EXISTS Airports (code TEXT NOT NULL PRIMARY KEY, flights INTEGER NOT NULL, lastFlight TEXT NOT NULL)',
  );
  await sql.execute(
    `CREATE TABLE IF NOT EXISTS Flights (id INTEGER NOT NULL PRIMARY KEY, date TEXT NOT NULL, origin TEXT NOT NULL,
      destination TEXT NOT NULL, delay INTEGER NOT NULL, distance INTEGER NOT NULL)`,
  );
}
