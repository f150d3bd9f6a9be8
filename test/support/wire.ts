/** Wire clients on the Pulsar that scripts/services.sh started, closed when the test ends. */
import { onTestFinished } from 'vitest';
import { parseOptions } from '../../actors/pulsar/options.ts';
import { wireOptionsOf } from '../../actors/pulsar/server-options.ts';
import { WireDriver } from '../../actors/pulsar/wire/driver.ts';
import { systemEnvironment } from '../../runtime/environment.ts';
import type { Log } from '../../runtime/index.ts';
import { pulsarService } from './services.ts';

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
const LOUD: Log = { debug: console.log, info: console.log, warn: console.log, error: console.log };

/** `options` as for `pulsar({ … })`. */
export function wireClient(options: Record<string, unknown> = {}): WireDriver {
  const { url, admin } = pulsarService()!;
  const parsed = parseOptions({ url, adminUrl: admin, ...options }, 'io.pulsar');
  const log = process.env['KEYMILL_TEST_LOG'] ? LOUD : SILENT;
  const driver = new WireDriver(wireOptionsOf(parsed, 'io.pulsar'), systemEnvironment(), log);
  onTestFinished(() => driver.close());
  return driver;
}
