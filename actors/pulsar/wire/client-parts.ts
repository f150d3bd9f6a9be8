/** What all producers, consumers and readers of one client share. */
import type { Environment, Log } from '../../../runtime/index.ts';
import type { Lookup, NextId } from './lookup.ts';
import type { Memory } from './memory.ts';

export interface ClientParts {
  readonly memory: Memory;
  readonly lookup: Lookup;
  readonly nextId: NextId;
  readonly environment: Environment;
  readonly log: Log;
  readonly operationMs: number;
}
