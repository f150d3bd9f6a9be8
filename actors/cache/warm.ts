/**
 * Warm-up (R13): what an actor's `init` awaits, its thread is not ready before, and so not the runtime. A loader that fails is
 * tried again, since a start with a dependency down is to wait, not to fail.
 */
import { asError, type IoThread } from '../../runtime/index.ts';
import type { Cache, WarmUp, WarmUpOptions } from './contract.ts';
import { lifeFrom } from './life.ts';

const RETRY_MS = 1000;

export async function warmUp(
  cache: Cache,
  thread: IoThread,
  loaders: Readonly<Record<string, WarmUp>>,
  { retryMs, attempts = Number.POSITIVE_INFINITY, log = thread.log }: WarmUpOptions = {},
): Promise<void> {
  const pause = lifeFrom(retryMs, RETRY_MS, 'retryMs');
  await Promise.all(
    Object.entries(loaders).map(async ([name, warm]) => {
      for (let attempt = 1; ; attempt++)
        try {
          await warm(cache);
          log.info({ loader: name, attempt }, 'the cache is warm');
          return;
        } catch (error) {
          if (attempt >= attempts) throw error;
          log.warn({ loader: name, attempt, err: asError(error).message }, 'a warm-up failed, and is tried again');
          await new Promise<void>(resolve => thread.environment.clock.after(pause, resolve));
        }
    }),
  );
}
