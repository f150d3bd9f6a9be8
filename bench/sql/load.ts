/** What is written: rows of about 500 bytes, as the seed has them (G 9.3, 9.8-1). */
import type { Row } from '../../actors/sql/contract.ts';

export const TABLE = `CREATE TABLE Records (id bigint NOT NULL PRIMARY KEY, name varchar(50) NOT NULL,
  note varchar(500) NOT NULL)`;

const NOTE = 'something that a record may say about itself, '.repeat(10).slice(0, 440);

export interface Load {
  /** Of the first row. */
  readonly from: number;
  /** In all, a multiple of workers × batch. */
  readonly rows: number;
  /** One on each host. */
  readonly workers: number;
  readonly batch: number;
}

export interface Run {
  readonly rows: number;
  readonly ns: number;
}

export function rowsFrom({ from, batch }: Load, at: number): Row[] {
  return Array.from({ length: batch }, (_, i) => ({ id: from + at + i, name: `record ${at + i}`, note: NOTE }));
}
