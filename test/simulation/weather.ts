/**
 * What kind of life a seed leads. Each seed leaves out some kinds of faults and of messages altogether and has much of
 * others (swarm testing): what needs three moves in a row is not found where every seed has a little of everything.
 */

export const FAULTS = ['crash', 'kill', 'stall', 'crash I/O', 'store', 'move', 'output'] as const;
export type Fault = (typeof FAULTS)[number];

export interface Weather {
  /** Chance of a fault at each step, while faults last. */
  faultChance: number;
  /** How often each kind comes, relative to the others; 0 for never. */
  faults: Record<Fault, number>;
  /** Shares of messages: that fail, hang, kill their host, ask, write to the output, have children. */
  failing: number;
  hanging: number;
  poison: number;
  asking: number;
  writing: number;
  children: number;
  /** Keys of each actor, and the virtual ms that a handler takes at most. */
  keys: number;
  slowest: number;
  /** Share of actors that pause a key, or stop, after a death. */
  strict: number;
  /** Thousands of messages for one key, and little else. */
  deep: boolean;
  /** Stopped in the middle of it all, with this much grace; undefined: when all is settled. */
  stopAfter: number | undefined;
}

export function weatherOf(random: () => number): Weather {
  const one = <T>(...choices: T[]): T => choices[Math.floor(random() * choices.length)]!;
  const faults = Object.fromEntries(FAULTS.map(fault => [fault, one(0, 0, 1, 2, 5)])) as Record<Fault, number>;
  if (Object.values(faults).every(weight => weight === 0)) faults[one(...FAULTS)] = 1;
  const weather: Weather = {
    faultChance: one(0.004, 0.012, 0.03),
    faults,
    failing: one(0, 0.15, 0.15, 0.4),
    hanging: one(0, 0.02),
    poison: one(0, 0.006, 0.02),
    asking: one(0, 0.06, 0.2),
    writing: one(0, 0, 0.2),
    children: one(0, 0.5, 0.5, 0.8),
    keys: one(1, 2, 5, 5),
    slowest: one(1, 30, 80),
    strict: one(0, 0, 0.3),
    deep: random() < 0.02,
    stopAfter: random() < 0.12 ? one(0, 300, 60_000) : undefined,
  };
  if (weather.writing === 0) faults.output = 0;
  if (!weather.deep) return weather;
  return {
    ...weather,
    failing: 0,
    hanging: 0,
    poison: 0,
    asking: 0,
    writing: 0,
    children: 0,
    keys: 1,
    strict: 0,
    faultChance: 0.004,
  };
}
