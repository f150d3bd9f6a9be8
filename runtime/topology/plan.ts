/**
 * From a topology module to the plan that every thread works by. Each thread loads the module and makes the plan by
 * itself, so the plan must follow from the module, the overrides and nothing else.
 */
import { pathToFileURL } from 'node:url';
import type { z } from 'zod';
import { deadLetters } from '../delivery/dead-letters.ts';
import { park } from '../delivery/park.ts';
import { asError, describe, KeymillError } from '../errors.ts';
import type { IoSpec } from '../io/contract.ts';
import { refuseWaitingCycles } from './cycles.ts';
import type {
  Actor,
  ActorEntry,
  AnyDefinition,
  RecordMap,
  Settings,
  Source,
  SourceEntry,
  SourceHalf,
  SourceTraits,
  Topology,
  TopologyDefinition,
  Use,
} from './define.ts';
import {
  type ActorOptions,
  actorSchema,
  PRESETS,
  type RuntimeOptions,
  runtimeSchema,
  type SourceOptions,
  sourceSchema,
} from './options.ts';
import { persistFaults } from './persist.ts';
import { warningsOf } from './warnings.ts';

export interface PlannedActor {
  readonly name: string;
  readonly definition: AnyDefinition;
  readonly options: ActorOptions;
  /** Set for I/O actors; their names begin with `io:`. */
  readonly io: { readonly spec: IoSpec; readonly thread: number } | null;
}

export interface PlannedSource {
  readonly name: string;
  readonly to: readonly string[];
  readonly options: SourceOptions;
  readonly map: RecordMap | null;
  /** Its I/O actor and what `read` says, a source of the user's own, or (in a simulation) a source half as it is. */
  readonly from:
    | { readonly io: string; readonly read: Record<string, unknown> }
    | { readonly source: Source }
    | { readonly half: () => SourceHalf };
  readonly thread: number;
  /** As far as they are known before it is open. */
  readonly traits?: Partial<SourceTraits> | undefined;
}

export interface Plan {
  readonly name: string;
  readonly options: RuntimeOptions;
  readonly settings: Settings;
  readonly summary: TopologyDefinition['summary'];
  readonly actors: readonly PlannedActor[];
  readonly sources: readonly PlannedSource[];
  /** Number of I/O threads; `thread` above counts them from 0. */
  readonly ioThreads: number;
  /** What is hardly meant so, though it can run. */
  readonly warnings: readonly string[];
}

/** `a.b.c` → value, as `--set` gives them. */
export type Overrides = Readonly<Record<string, unknown>>;

export const DEAD_LETTERS = 'io:dead-letters';
export const PARK = 'io:park';
/** What the plan cannot know of an I/O actor's source is asked again when it is open, see host/thread.ts. */
export const CHECKPOINT_NEEDS = 'only a source that is replayable and ordered can go on from a position';

/** The URL of a module that is named by its URL or its path. */
export function moduleUrl(module: string): string {
  return /^[a-z]+:\/\//.test(module) ? module : pathToFileURL(module).href;
}

/** Imports a topology module. Throws TOPOLOGY_MISSING. */
export async function loadTopology(module: string): Promise<Topology> {
  const url = moduleUrl(module);
  let loaded: { default?: unknown };
  try {
    loaded = await import(url);
  } catch (cause) {
    if (isKeymill(cause)) throw cause;
    throw new KeymillError('TOPOLOGY_MISSING', `${module}: ${asError(cause).message}`, {
      cause,
      place: { at: module },
    });
  }
  const topology = loaded.default as Topology | undefined;
  if (topology?.kind !== 'topology')
    throw new KeymillError(
      'TOPOLOGY_MISSING',
      `the default export of ${module} is ${describe(topology)}, not made by defineTopology`,
      { place: { at: module } },
    );
  return topology;
}

function isKeymill(error: unknown): error is KeymillError {
  return error instanceof KeymillError;
}

/** Checks a topology and makes the plan. Throws CONFIG_INVALID with one line per fault, or what a module's import threw. */
export async function makePlan(topology: Topology, overrides: Overrides, cores: number): Promise<Plan> {
  const faults: string[] = [];
  const definition = withOverrides(topology.definition, overrides, faults);
  const { module: _module, name, actors, sources = {}, io = {}, settings = {}, summary, ...rest } = definition;
  if (typeof name !== 'string' || !/^[\w.-]{1,64}$/.test(name))
    faults.push(`name: expected 1 to 64 letters, digits, ".", "_" or "-", found ${describe(name)}`);
  const options = check(runtimeSchema, rest, '', faults);
  if (Object.keys(actors ?? {}).length === 0) faults.push('actors: expected at least one');

  const planned: PlannedActor[] = [];
  for (const [actor, entry] of Object.entries(actors ?? {})) {
    const { use, ...own } =
      'kind' in entry && entry.kind === 'actor' ? { use: entry as Actor } : (entry as Exclude<ActorEntry, Actor>);
    if (actor.startsWith('io:')) faults.push(`actors.${actor}: the name of an actor may not begin with io:`);
    const resolved = await resolve<Actor>(use, 'actor', `actors.${actor}`);
    planned.push({
      name: actor,
      definition: resolved.definition,
      options: actorOptions(resolved.definition.options, own, `actors.${actor}`, faults),
      io: null,
    });
  }
  for (const own of [DEAD_LETTERS, PARK].map(full => full.slice(3)))
    if (Object.hasOwn(io, own)) faults.push(`io.${own}: this name is the engine's own`);
  const specs: [string, IoSpec][] = [...Object.entries(io), ['dead-letters', deadLetters()], ['park', park()]];
  const kinds = [
    ...new Set(specs.map(([, spec]) => spec?.kind).filter(kind => kind !== 'dead-letters' && kind !== 'park')),
  ];
  const perKind = options?.ioThreads === 'perKind' || (options?.ioThreads === 'auto' && cores > 2);
  for (const [ioName, spec] of specs) {
    if (typeof spec?.open !== 'function') {
      faults.push(`io.${ioName}: expected what a driver such as file({ … }) returns, found ${describe(spec)}`);
      continue;
    }
    for (const fault of spec.check(spec.options)) faults.push(`io.${ioName}.${fault.path}: ${fault.message}`);
    planned.push({
      name: `io:${ioName}`,
      definition: ioDefinition(spec),
      options: ioOptions(),
      io: { spec, thread: perKind ? Math.max(0, kinds.indexOf(spec.kind)) : 0 },
    });
  }
  const plannedSources: PlannedSource[] = [];
  for (const [source, entry] of Object.entries(sources)) {
    const one = await planSource(source, entry, planned, faults);
    if (one) plannedSources.push(one);
  }
  for (const actor of planned)
    for (const [list, prefix] of [
      [actor.options.sends, ''],
      [actor.options.uses, 'io:'],
    ] as const)
      for (const target of list ?? [])
        if (!planned.some(one => one.name === prefix + target))
          faults.push(`actors.${actor.name}.${prefix ? 'uses' : 'sends'}: there is no ${describe(target)}`);
  faults.push(...persistFaults(planned, plannedSources));
  for (const { name: source, options: own } of plannedSources)
    for (const other of own.endsAfter ?? [])
      if (other === source || !Object.hasOwn(sources, other))
        faults.push(`sources.${source}.endsAfter: expected another source, found ${describe(other)}`);
  for (const { name: actor, options: own } of planned)
    if (own.batch.across === 'keys' && own.onKeyFull === 'park')
      faults.push(
        `actors.${actor}.onKeyFull: park needs a mailbox for each key, and batch.across: 'keys' has one for all`,
      );
  if (faults.length > 0) throw new KeymillError('CONFIG_INVALID', `${name ?? 'topology'}\n  ${faults.join('\n  ')}`);
  refuseWaitingCycles(planned);
  return {
    name: name!,
    options: options!,
    settings,
    summary,
    actors: planned,
    sources: plannedSources,
    ioThreads: perKind ? Math.max(1, kinds.length) : 1,
    warnings: warningsOf({ actors: planned, sources: plannedSources }),
  };
}

// ── parts ──────────────────────────────────────────────────────────────────────────────────────────────────────────

async function planSource(
  name: string,
  entry: SourceEntry,
  actors: readonly PlannedActor[],
  faults: string[],
): Promise<PlannedSource | undefined> {
  const { to, map, from, use, read, ...own } = entry as SourceEntry & {
    from?: string;
    use?: Use<Source>;
    read?: Record<string, unknown>;
  };
  const targets = typeof to === 'string' ? [to] : [...(to ?? [])];
  if (targets.length === 0) faults.push(`sources.${name}.to: expected the name of an actor`);
  for (const target of targets)
    if (!actors.some(actor => actor.name === target && !actor.io))
      faults.push(`sources.${name}.to: there is no actor ${describe(target)}`);
  let thread = 0;
  let traits: Partial<SourceTraits> | undefined;
  let origin: PlannedSource['from'] | undefined;
  if (from !== undefined) {
    const ioActor = actors.find(actor => actor.name === `io:${from}`);
    if (!ioActor?.io) faults.push(`sources.${name}.from: there is no I/O actor ${describe(from)}`);
    else {
      thread = ioActor.io.thread;
      const { spec } = ioActor.io;
      traits = spec.traits?.(spec.options);
    }
    origin = { io: from, read: read ?? {} };
  } else if (use !== undefined) origin = { source: await resolve<Source>(use, 'source', `sources.${name}`) };
  else faults.push(`sources.${name}: expected \`from\` (an I/O actor) or \`use\` (a source of your own)`);
  const defaults = origin && 'source' in origin ? origin.source.definition.options : undefined;
  if (origin && 'source' in origin) traits = { replayable: false, ordered: true, ...origin.source.definition.traits };
  const options = check(sourceSchema, merge(defaults ?? {}, own), `sources.${name}`, faults);
  if (options?.checkpoint && (traits?.replayable === false || traits?.ordered === false))
    faults.push(`sources.${name}.checkpoint: ${CHECKPOINT_NEEDS}`);
  const mapping = map === undefined ? null : await resolveMap(map, `sources.${name}.map`);
  if (!origin || !options) return undefined;
  return { name, to: targets, options, map: mapping, from: origin, thread, traits };
}

/** The definition behind a `use`: itself, or the default export of a module. */
async function resolve<T extends { kind: string }>(use: Use<T>, kind: string, path: string): Promise<T> {
  const found = await imported(use, path);
  if (typeof found === 'object' && found !== null && (found as T).kind === kind) return found as T;
  if (use === found)
    throw new KeymillError(
      'CONFIG_INVALID',
      `${path}: expected a ${kind}, a lazy import of its module, or the module's URL; found ${describe(use)}`,
      { place: { at: path } },
    );
  throw new KeymillError(
    'ACTOR_MODULE_NO_DEFAULT',
    `${path}: the default export of ${use instanceof URL ? use.href : 'its module'} is ${describe(found)}, not made by ${kind === 'actor' ? 'defineActor' : 'defineSource'}`,
    { place: { at: path } },
  );
}

async function resolveMap(use: Use<RecordMap>, path: string): Promise<RecordMap> {
  // A map is a function itself, so a lazy import can only be told apart by what it returns.
  if (use instanceof URL) {
    const found = await imported(use, path);
    if (typeof found !== 'function')
      throw new KeymillError(
        'ACTOR_MODULE_NO_DEFAULT',
        `${path}: the default export of ${use.href} is ${describe(found)}, not a function`,
        { place: { at: path } },
      );
    return found as RecordMap;
  }
  if (typeof use !== 'function')
    throw new KeymillError(
      'CONFIG_INVALID',
      `${path}: expected a function that returns a function, found ${describe(use)}`,
      { place: { at: path } },
    );
  return use as RecordMap;
}

async function imported(use: unknown, path: string): Promise<unknown> {
  try {
    if (use instanceof URL) return (await import(use.href)).default;
    if (typeof use === 'function') return ((await use()) as { default?: unknown } | undefined)?.default;
  } catch (cause) {
    if (isKeymill(cause)) throw cause;
    throw new KeymillError('ACTOR_MODULE_MISSING', `${path}: ${asError(cause).message}`, {
      cause,
      place: { at: path },
    });
  }
  return use;
}

function actorOptions(defaults: object | undefined, own: object, path: string, faults: string[]): ActorOptions {
  const preset = (own as { preset?: string }).preset ?? (defaults as { preset?: string } | undefined)?.preset;
  const base = preset !== undefined && preset in PRESETS ? PRESETS[preset as keyof typeof PRESETS] : {};
  return check(actorSchema, merge(merge(base, defaults ?? {}), own), path, faults) ?? actorSchema.parse({});
}

/**
 * I/O actors are batch actors that take what there is at once. Their policies, not the engine, retry and time out. An ask
 * may hold a whole batch, and a dead letter a message of any size, so the windows alone bound their bytes.
 */
function ioOptions(): ActorOptions {
  return actorSchema.parse({
    batch: { flushMs: 0 },
    timeoutMs: 0,
    retry: { attempts: 1 },
    passivateMs: 60_000,
    maxMessageBytes: 2 ** 30,
  });
}

/** The engine's face of an I/O actor; `open` and `handleBatch` are put in by the thread that owns it. */
function ioDefinition(spec: IoSpec): AnyDefinition {
  return { key: ask => spec.key(ask, 0), handleBatch: () => undefined };
}

function check<S extends z.ZodType>(
  schema: S,
  value: unknown,
  path: string,
  faults: string[],
): z.output<S> | undefined {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    const at = [path, ...issue.path.map(String)].filter(part => part !== '').join('.');
    const found = issue.path.reduce<unknown>(
      (part, name) => (part as Record<PropertyKey, unknown> | undefined)?.[name],
      value,
    );
    faults.push(
      `${at === '' ? '' : `${at}: `}${issue.message}${issue.code === 'unrecognized_keys' ? '' : `, found ${describe(found)}`}`,
    );
  }
  return undefined;
}

/** Later objects win, deeply; arrays and everything else as a whole. */
function merge(base: object, over: object): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(over)) {
    const below = merged[name];
    merged[name] = isPlain(below) && isPlain(value) ? merge(below, value) : value;
  }
  return merged;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** Applies `--set` paths. `io.NAME.x` means option x of that I/O actor. */
function withOverrides(definition: TopologyDefinition, overrides: Overrides, faults: string[]): TopologyDefinition {
  let result = definition as unknown as Record<string, unknown>;
  for (const [path, value] of Object.entries(overrides)) {
    const parts = path.split('.');
    if (parts.some(part => part === '' || part === '__proto__' || part === 'constructor' || part === 'prototype')) {
      faults.push(`--set ${path}: not a path`);
      continue;
    }
    if (parts[0] === 'io' && parts.length > 2) parts.splice(2, 0, 'options');
    const group = definition.settings?.[parts[0]!];
    if (group !== undefined) {
      const fault = settingFault(group, parts, value);
      if (fault !== undefined) faults.push(`--set ${path}: ${fault}`);
      else result = setIn(result, ['settings', ...parts], value);
      continue;
    }
    const [section, name] = parts;
    if (
      (section === 'io' || section === 'actors' || section === 'sources') &&
      name !== undefined &&
      !Object.hasOwn((result[section] as object | undefined) ?? {}, name)
    ) {
      faults.push(`--set ${path}: there is no ${section}.${name}`);
      continue;
    }
    result = setIn(result, parts, value);
  }
  return result as unknown as TopologyDefinition;
}

/** What is wrong with a setting: it must be there, and its value of the default's type. */
function settingFault(
  group: Settings[string],
  [name, key, ...rest]: readonly string[],
  value: unknown,
): string | undefined {
  if (key === undefined || rest.length > 0 || !Object.hasOwn(group, key))
    return `${name} has ${Object.keys(group).join(', ')}`;
  const before = group[key];
  if (before !== null && typeof before !== typeof value) return `expected a ${typeof before}, found ${describe(value)}`;
  return undefined;
}

function setIn(target: Record<string, unknown>, path: readonly string[], value: unknown): Record<string, unknown> {
  const [name, ...rest] = path as [string, ...string[]];
  if (rest.length === 0) return { ...target, [name]: value };
  let inner = target[name] as Record<string, unknown> | undefined;
  if (inner && (inner as { kind?: string }).kind === 'actor') inner = { use: inner };
  return { ...target, [name]: setIn({ ...inner }, rest, value) };
}
