/** The suite `sql`: the driver of SQL Server against the server of the tests, near and far. */
import type { Case } from '../lib/contest.ts';
import { lag } from './lag.ts';
import { reads } from './reads.ts';
import { writes } from './writes.ts';

export const sql: readonly Case[] = [writes, reads, lag];
