/**
 * What every driver of the `redis` I/O actor must do, through its client alone: run on the embedded stores and on a real
 * server. Nothing sleeps: time passes by the harness, and messages are waited for.
 */
import { fieldsContract } from './redis-fields.ts';
import type { RedisHarness } from './redis-harness.ts';
import { messagesContract } from './redis-messages.ts';
import { stepsContract } from './redis-steps.ts';
import { valuesContract } from './redis-values.ts';
import { versionsContract } from './redis-versions.ts';

export { LIMITS, type OpenedRedis, type RedisHarness } from './redis-harness.ts';

export function redisContract(name: string, harness: RedisHarness): void {
  valuesContract(name, harness);
  versionsContract(name, harness);
  fieldsContract(name, harness);
  stepsContract(name, harness);
  messagesContract(name, harness);
}
