/** The `pulsar` I/O actor: topics, subscriptions and readers, on an embedded bus or a real Pulsar. */
import {
  DEFAULT_IO_POLICY,
  type IoContext,
  type IoSpec,
  isKeymillError,
  KeymillError,
  type TopicFinding,
} from '../../runtime/index.ts';
import { keyOf } from './asks.ts';
import { clientOf } from './client.ts';
import type { PulsarClient, PulsarDriver } from './contract.ts';
import {
  checkOptions,
  maxBytesOf,
  type PulsarOptions,
  type PulsarOptionsInput,
  parseOptions,
  parseRead,
} from './options.ts';
import { fileOf, placeOf } from './place.ts';
import { rehearseFile } from './rehearse.ts';
import { PulsarResource } from './resource.ts';
import { wireOptionsOf } from './server-options.ts';
import { topicName } from './topic-name.ts';
import { lookAt, type Registry } from './topics.ts';
import type { WireDriver } from './wire/driver.ts';

export type * from './contract.ts';
export { compareIds } from './message-id.ts';
export { type PulsarOptions, type PulsarOptionsInput, pulsarSchema, readSchema } from './options.ts';
export { type EvolutionFinding, type EvolutionRule, evolutionFindings } from './schema/evolution.ts';
export { type JsonSchema, parseJsonSchema, type SchemaFinding, valueFindings } from './schema/json-schema.ts';

/** A look at a bus in this process costs next to nothing: an open breaker need not wait a minute for the next. */
const BUS_POLICY = { ...DEFAULT_IO_POLICY, breaker: { openMs: 1000 } };

/** How long a replaced thread waits for the one before it to let go of the file, and how often it looks. */
const HANDOVER_MS = 10_000;
const HANDOVER_LOOK_MS = 50;

/**
 * Makes the I/O actor for a topology's `io`: `pulsar({ url: 'file:./bus' })`. Handlers publish and consume through
 * `ctx.io<PulsarClient>(name)`; sources read with `{ from: name, read: { topic, subscription } }` (PulsarRead).
 * Wrong options are reported by `check`, and by `open` with CONFIG_INVALID; a bus that cannot be opened with STORE_IN_USE,
 * STORE_CORRUPT, STORE_READ_ONLY or OUTPUT_FULL. A Pulsar is connected to when it is first used.
 */
export function pulsar(options: PulsarOptionsInput): IoSpec<PulsarClient> {
  return {
    kind: 'pulsar',
    policy: BUS_POLICY,
    options: { ...options },
    check: checkOptions,
    traits: () => ({ replayable: true, stable: false }),
    key: keyOf,
    async open(given, context) {
      const parsed = parseOptions(given, `io.${context.name}`);
      return new PulsarResource(await driverOf(parsed, context), parsed, context);
    },
    async rehearse(given, read, name, dataDir, tools) {
      const { url } = parseOptions(given, `io.${name}`);
      if (read !== null) parseRead(read, `read of ${name}`);
      const place = placeOf(url, dataDir);
      if (place.kind !== 'server') return rehearseFile(fileOf(place));
      const driver = await driverOf(parseOptions(given, `io.${name}`), { name, dataDir, first: true, ...tools });
      try {
        await driver.probe();
      } finally {
        await driver.close();
      }
    },
    async topics(given, apply, context) {
      const parsed = parseOptions(given, `io.${context.name}`);
      const declared = Object.entries(parsed.topics);
      if (declared.length === 0) return [];
      const driver = await driverOf(parsed, { first: true, ...context });
      try {
        const registry = await registryOf(driver, context.name);
        const found: TopicFinding[] = [];
        for (const [topic, declaration] of declared) found.push(await lookAt(topic, declaration, apply, registry));
        return found;
      } finally {
        await driver.close();
      }
    },
    client: clientOf,
  };
}

type DriverContext = Omit<IoContext, 'reads'>;

/** Drivers are loaded when they are opened: host threads need none. */
async function driverOf(options: PulsarOptions, context: DriverContext): Promise<PulsarDriver> {
  const { environment, log } = context;
  const place = placeOf(options.url, context.dataDir);
  if (place.kind === 'server' && options.driver === 'pulsar-client') {
    const { OfficialDriver } = await import('./official/driver.ts');
    const officialOptions = { ...wireOptionsOf(options, `io.${context.name}`), files: options.tls };
    return OfficialDriver.open(officialOptions, environment, log);
  }
  if (place.kind === 'server') {
    const { WireDriver } = await import('./wire/driver.ts');
    return new WireDriver(wireOptionsOf(options, `io.${context.name}`), environment, log);
  }
  const { EmbeddedBus } = await import('./bus/bus.ts');
  const { clock } = environment;
  const busOptions = { ...options, file: fileOf(place), maxBytes: maxBytesOf(options) };
  const until = clock.now() + (context.first ? 0 : HANDOVER_MS);
  for (;;)
    try {
      return new EmbeddedBus(busOptions, environment, log);
    } catch (error) {
      if (!isKeymillError(error, 'STORE_IN_USE') || clock.now() >= until) throw error;
      await new Promise<void>(resolve => clock.after(HANDOVER_LOOK_MS, resolve));
    }
}

/** Throws CONFIG_INVALID where a Pulsar has no admin API that is known. */
async function registryOf(driver: PulsarDriver, name: string): Promise<Registry> {
  const { EmbeddedBus } = await import('./bus/bus.ts');
  if (driver instanceof EmbeddedBus)
    return { driver, admin: null, partitionsOf: async topic => driver.existing(topic) };
  const { admin = null } = driver as Partial<WireDriver>;
  if (admin === null)
    throw new KeymillError(
      'CONFIG_INVALID',
      `io.${name}.adminUrl: topics are looked at and made through the admin API`,
      {
        place: { at: `io.${name}` },
      },
    );
  return { driver, admin, partitionsOf: topic => admin.partitionsOf(topicName(topic).full) };
}
