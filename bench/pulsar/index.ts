/** The suite `pulsar`: our wire client beside the official clients, on a real broker. */
import type { Case } from '../lib/contest.ts';
import { codecs } from './codecs.ts';
import { consume } from './consume.ts';
import { latency } from './latency.ts';
import { partitions, prefetch } from './partitions.ts';
import { payloads } from './payloads.ts';
import { producers } from './producers.ts';
import { publish } from './publish.ts';

export const pulsar: readonly Case[] = [publish, consume, payloads, codecs, partitions, prefetch, producers, latency];
