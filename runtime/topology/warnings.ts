/** What is not wrong in a plan, but hardly what was meant. `check` prints it, the start logs it. */
import type { Plan, PlannedActor } from './plan.ts';

/** One line each: path, what it does, and what to do. */
export function warningsOf({ actors, sources }: Pick<Plan, 'actors' | 'sources'>): string[] {
  const own = actors.filter(actor => !actor.io);
  return [
    ...unreached(own, sources),
    ...unused(own, actors, sources),
    ...own.flatMap(actor => dropping(actor, own, sources)),
  ];
}

/** Known only where all say whom they send to. Without sources everything is told, and by whom is not known here. */
function unreached(own: readonly PlannedActor[], sources: Plan['sources']): string[] {
  if (sources.length === 0 || own.some(actor => actor.options.sends === undefined)) return [];
  const reached = new Set(sources.flatMap(source => source.to));
  for (const name of reached)
    for (const target of own.find(actor => actor.name === name)?.options.sends ?? []) reached.add(target);
  return own
    .filter(actor => !reached.has(actor.name))
    .map(({ name }) => `actors.${name}: no source and no actor that they feed sends to it; only tells reach it`);
}

function unused(own: readonly PlannedActor[], actors: readonly PlannedActor[], sources: Plan['sources']): string[] {
  if (own.some(actor => actor.options.uses === undefined)) return [];
  const used = new Set(own.flatMap(actor => actor.options.uses!));
  for (const { from } of sources) if ('io' in from) used.add(from.io);
  return actors
    .filter(({ io }) => io !== null && io.spec.kind !== 'dead-letters' && io.spec.kind !== 'park')
    .map(({ name }) => name.slice('io:'.length))
    .filter(name => !used.has(name))
    .map(name => `io.${name}: no source reads from it, and no actor lists it in \`uses\``);
}

function dropping({ name, options }: PlannedActor, own: readonly PlannedActor[], sources: Plan['sources']): string[] {
  const { full, allowLoss } = options.mailbox;
  if (full === 'Wait') return [];
  const feeding = sources.filter(source => source.to.includes(name));
  const at = `actors.${name}.mailbox.full`;
  if (!allowLoss) {
    const feeders = [
      ...feeding.map(source => source.name),
      ...own.filter(actor => actor.options.sends?.includes(name)).map(actor => actor.name),
    ];
    if (feeders.length === 0) return [];
    return [
      `${at}: ${full} drops tells only, and what ${feeders.join(', ')} sends waits; set mailbox.allowLoss to drop that too, or Wait`,
    ];
  }
  return feeding
    .filter(({ traits }) => traits?.replayable === false)
    .map(
      source =>
        `${at}: ${full} drops messages of ${source.name}, which cannot be read again, and that is only seen in keymill_dropped_total; set Wait to keep them`,
    );
}
