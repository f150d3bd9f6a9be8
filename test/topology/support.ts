/** Plans of topologies that a test writes down. */
import type { KeymillError } from '../../runtime/errors.ts';
import { defineTopology, type TopologyDefinition } from '../../runtime/topology/define.ts';
import { makePlan, type Overrides, type Plan } from '../../runtime/topology/plan.ts';

// biome-ignore lint/suspicious/noExplicitAny: wrong definitions too
type Given = Record<string, any>;

export function planOf(definition: Given, overrides: Overrides = {}, cores = 2): Promise<Plan> {
  return makePlan(defineTopology({ name: 'test', ...definition } as TopologyDefinition), overrides, cores);
}

export async function errorOf(definition: Given, overrides?: Overrides): Promise<KeymillError> {
  return planOf(definition, overrides).then(
    () => {
      throw new Error('the topology is fine');
    },
    (error: KeymillError) => error,
  );
}

/** The faults that CONFIG_INVALID lists, one a line. */
export async function faultsOf(definition: Given, overrides?: Overrides): Promise<string[]> {
  const error = await errorOf(definition, overrides);
  if (error.code !== 'CONFIG_INVALID') throw error;
  return error.message
    .split('\n')
    .slice(1)
    .map(line => line.trim());
}
