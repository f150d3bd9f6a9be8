/**
 * A fault injector for a running topology: `--chaos kill-host=250ms,stall-host=2s,seed=7`. Kills or stalls a random host
 * again and again; the seed makes the choice of hosts repeatable.
 */

import type { Environment } from '../environment.ts';
import { KeymillError } from '../errors.ts';
import { seededRandom } from '../random.ts';
import type { Supervisor } from './supervisor.ts';

export interface ChaosOptions {
  killHostMs: number | undefined;
  stallHostMs: number | undefined;
  seed: number;
}

/** Reads `kill-host=250ms,stall-host=2s,seed=7`. Throws CONFIG_INVALID. */
export function parseChaos(text: string): ChaosOptions {
  const options: ChaosOptions = { killHostMs: undefined, stallHostMs: undefined, seed: 1 };
  for (const part of text.split(',')) {
    const [name, value = ''] = part.split('=', 2);
    const duration = /^(\d+(?:\.\d+)?)(ms|s)$/.exec(value);
    const ms = duration ? Number(duration[1]) * (duration[2] === 's' ? 1000 : 1) : Number.NaN;
    if (name === 'kill-host' && ms >= 1) options.killHostMs = ms;
    else if (name === 'stall-host' && ms >= 1) options.stallHostMs = ms;
    else if (name === 'seed' && /^\d+$/.test(value)) options.seed = Number(value);
    else
      throw new KeymillError(
        'CONFIG_INVALID',
        `--chaos: expected kill-host=TIME, stall-host=TIME or seed=N with a time such as 250ms or 2s, found ${JSON.stringify(part)}`,
      );
  }
  return options;
}

/** Starts the faults; the function returned ends them. */
export function startChaos(
  supervisor: Supervisor,
  options: ChaosOptions,
  environment: Environment,
  stuckMs: number,
): () => void {
  const random = seededRandom(options.seed);
  let on = true;
  const hosts = supervisor.slots.filter(slot => slot?.kind === 'host');
  /** One of all hosts, or none if that one is not up: killing what still boots would only keep it from ever working. */
  const pick = (): number => {
    const slot = hosts[Math.floor(random() * hosts.length)]!;
    return slot.status === 'up' ? slot.index : -1;
  };
  const every = (ms: number, fault: () => void): void => {
    environment.clock.after(ms, () => {
      if (!on) return;
      fault();
      every(ms, fault);
    });
  };
  if (options.killHostMs !== undefined) every(options.killHostMs, () => supervisor.kill(pick(), 'chaos'));
  if (options.stallHostMs !== undefined)
    every(options.stallHostMs, () => supervisor.stall(pick(), stuckMs * (0.1 + 1.4 * random())));
  return () => {
    on = false;
  };
}
