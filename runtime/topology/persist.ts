/** Faults of a plan that only durable states have (E12). */
import { describe } from '../errors.ts';
import type { PlannedActor, PlannedSource } from './plan.ts';

/** Who keeps states, and whether what is counted there can be told apart. */
export function persistFaults(actors: readonly PlannedActor[], sources: readonly PlannedSource[]): string[] {
  const keeps = (io: string): boolean => actors.find(actor => actor.name === `io:${io}`)?.io?.spec.store !== undefined;
  const faults: string[] = [];
  for (const { name, options, io } of actors) {
    if (io || !options.persist) continue;
    const at = `actors.${name}.persist`;
    if (!keeps(options.persist.in))
      faults.push(`${at}.in: ${describe(options.persist.in)} is no I/O actor that keeps states`);
    if (options.batch.across === 'keys')
      faults.push(`${at}: a state is of one key, and batch.across: 'keys' mixes them`);
    for (const source of sources)
      if (source.to.includes(name) && source.traits?.stable === false)
        faults.push(
          `${at}: the source ${source.name} gives the same record under another position when it gives it again, so it would be counted twice`,
        );
  }
  for (const { name, options } of sources)
    if (typeof options.checkpoint === 'string' && !keeps(options.checkpoint))
      faults.push(`sources.${name}.checkpoint: ${describe(options.checkpoint)} is no I/O actor that keeps states`);
  return faults;
}
