/** The suite `changes`: reading what changes in a table. */
import type { Case } from '../lib/contest.ts';
import { capture } from './capture.ts';
import { detection } from './detection.ts';

export const changes: readonly Case[] = [capture, detection];
