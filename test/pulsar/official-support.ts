/** Drivers of the official client on a fake package. */
import { onTestFinished } from 'vitest';
import { OfficialDriver } from '../../actors/pulsar/official/driver.ts';
import type { NativeConfig } from '../../actors/pulsar/official/native.ts';
import { parseOptions } from '../../actors/pulsar/options.ts';
import { wireOptionsOf } from '../../actors/pulsar/server-options.ts';
import { systemEnvironment } from '../../runtime/environment.ts';
import { adminOf } from './bus-admin.ts';
import { officialFake } from './official-fake.ts';
import { busAt, QUIET } from './support.ts';

export interface OpenedOfficial {
  readonly driver: OfficialDriver;
  readonly configs: readonly NativeConfig[];
  /** Another client of the same bus. */
  another(): Promise<OfficialDriver>;
}

/** `options` as for `pulsar({ … })`; `adminUrl` is that of the bus unless it is said. */
export async function officialDriver(options: Record<string, unknown> = {}): Promise<OpenedOfficial> {
  const bus = busAt(':memory:');
  const adminUrl = await adminOf(bus);
  const { native, configs } = officialFake(bus);
  const another = async (): Promise<OfficialDriver> => {
    const given = { url: 'pulsar://localhost', driver: 'pulsar-client', adminUrl, ...options };
    const parsed = parseOptions(given, 'io.pulsar');
    const official = { ...wireOptionsOf(parsed, 'io.pulsar'), files: parsed.tls };
    const driver = await OfficialDriver.open(official, systemEnvironment(), QUIET, async () => native);
    onTestFinished(() => driver.close());
    return driver;
  };
  return { driver: await another(), configs, another };
}
