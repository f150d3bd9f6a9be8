/** The suite `engine`: what the engine does by itself, beside plain worker threads and thread pools. */
import type { Case } from '../lib/contest.ts';
import { asks } from './asks.ts';
import { batchSizes, strategies } from './batches.ts';
import { fairTurns } from './fair-turns.ts';
import { flood } from './flood.ts';
import { hosts } from './hosts.ts';
import { keyed, keys } from './keys.ts';
import { latency } from './latency.ts';
import { memoryCase } from './memory.ts';
import { micro } from './micro.ts';
import { passivation } from './passivation.ts';
import { payloads } from './payloads.ts';
import { settledTells } from './settled-tells.ts';
import { slowKey } from './slow-key.ts';
import { startUp } from './start-up.ts';

export const engine: readonly Case[] = [
  settledTells,
  asks,
  latency,
  keys,
  keyed,
  payloads,
  hosts,
  batchSizes,
  strategies,
  slowKey,
  fairTurns,
  memoryCase,
  passivation,
  flood,
  startUp,
  micro,
];
