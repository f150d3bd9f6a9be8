/** The suite `redis`: the I/O actor beside ioredis, and the cache beside others, on a real server. */
import type { Case } from '../lib/contest.ts';
import { asks } from './asks.ts';
import { cache, stampede } from './cache.ts';
import { distance } from './distance.ts';
import { swap } from './swap.ts';

export const redis: readonly Case[] = [asks, distance, cache, stampede, swap];
