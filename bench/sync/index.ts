/** The suite `sync`: the main job from end to end. */
import type { Case } from '../lib/contest.ts';
import { pipeline } from './pipeline.ts';

export const sync: readonly Case[] = [pipeline];
