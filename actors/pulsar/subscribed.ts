/** `subscribe(options, handle)` (P8): a loop over `consume()` that decides what becomes of a message whose handler failed. */
import { setTimeout as after } from 'node:timers/promises';
import { isKeymillError } from '../../runtime/index.ts';
import type { Delivery, SubscribeOptions } from './contract.ts';

/** The seed's (G905): five calls, 100 ms doubled up to 5 s. */
const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;

export async function handleAll(
  deliveries: AsyncIterable<Delivery>,
  options: SubscribeOptions,
  handle: (delivery: Delivery) => unknown,
  pause: (ms: number, signal: AbortSignal | undefined) => Promise<void> = systemPause,
): Promise<void> {
  const { signal, retryLetter, attempts = ATTEMPTS } = options;
  for await (const delivery of deliveries) {
    for (let attempt = 1; ; attempt++) {
      try {
        await handle(delivery);
        break;
      } catch (error) {
        const isFatal = isFatalError(error);
        if (retryLetter !== undefined) {
          await (isFatal ? delivery.bury() : delivery.retryLater());
          break;
        }
        if (isFatal || attempt >= attempts) throw error; // the loop is left, and the message stays unacknowledged
        await pause(Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), LONGEST_PAUSE_MS), signal);
        if (signal?.aborted) return;
      }
    }
  }
}

/** Trying again does not help. */
function isFatalError(error: unknown): boolean {
  const its = isKeymillError(error) ? error.class : (error as { class?: unknown } | null)?.class;
  return its === 'fatal' || its === 'poison';
}

/** A client is made without an environment. */
const systemPause = (ms: number, signal: AbortSignal | undefined): Promise<void> =>
  after(ms, undefined, { signal }).catch(() => undefined);
