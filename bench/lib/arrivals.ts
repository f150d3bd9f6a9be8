/** When messages are due. Fixed beforehand by a seed, whatever becomes of the messages before (an open loop). */
import { uniform } from './random.ts';

export type Pattern = 'steady' | 'bursty';

/** Of each period all messages of it come in this part. */
const PERIOD_NS = 500e6;
const BURST_NS = 100e6;

/**
 * Times from the start, ns, one a call: random and independent of each other (Poisson) at `rate` a second. Bursty ones
 * have the same rate on the whole and five times as much in the bursts.
 */
export function arrivals(pattern: Pattern, rate: number, seed: number): () => number {
  const draw = uniform(seed);
  const mean = 1e9 / rate;
  let time = 0;
  return () => {
    time += -Math.log(draw()) * mean;
    if (pattern === 'steady') return time;
    const period = Math.floor(time / PERIOD_NS);
    return period * PERIOD_NS + ((time - period * PERIOD_NS) * BURST_NS) / PERIOD_NS;
  };
}
