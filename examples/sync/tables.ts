import type { SqlClient } from '../../actors/sql/contract.ts';
import { isKeymillError } from '../../runtime/index.ts';

export const TABLES = ['Airports', 'Flights'] as const;

/** In words that SQLite and SQL Server both know. */
const MADE_BY: Readonly<Record<(typeof TABLES)[number], string>> = {
  Airports: `CREATE TABLE Airports (code VARCHAR(10) NOT NULL PRIMARY KEY, flights INTEGER NOT NULL,
    lastFlight VARCHAR(40) NOT NULL)`,
  Flights: `CREATE TABLE Flights (id INTEGER NOT NULL PRIMARY KEY, date VARCHAR(40) NOT NULL, origin VARCHAR(10) NOT NULL,
    destination VARCHAR(10) NOT NULL, delay INTEGER NOT NULL, distance INTEGER NOT NULL)`,
};

/** Makes the two tables where they are missing. */
export async function makeTables(sql: SqlClient): Promise<void> {
  for (const table of TABLES) {
    if (await exists(sql, table)) continue;
    try {
      await sql.execute(MADE_BY[table]);
    } catch (error) {
      if (!(await exists(sql, table))) throw error; // else another thread was first
    }
  }
}

async function exists(sql: SqlClient, table: string): Promise<boolean> {
  try {
    await sql.describe(table);
    return true;
  } catch (error) {
    if (isKeymillError(error) && error.code === 'TABLE_UNKNOWN') return false;
    throw error;
  }
}
