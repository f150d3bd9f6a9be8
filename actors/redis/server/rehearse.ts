/** What `check` does with a server: connects, and has the script do nothing. Leaves nothing there but the script's text. */
import type { Environment } from '../../../runtime/index.ts';
import type { RedisOptions } from '../options.ts';
import { within } from './connection.ts';
import { Connector } from './connector.ts';
import { faultOf, lostFault } from './faults.ts';
import { loadScripts } from './scripts.ts';
import { connectOptionsOf } from './server-options.ts';

/** Throws IO_FAILED, ACCESS_REFUSED, CONFIG_INVALID. */
export async function rehearseServer(options: RedisOptions, { clock, random }: Environment): Promise<void> {
  const connector = new Connector(connectOptionsOf(options), { clock, random });
  const connection = await connector.open('check');
  const { redis, at } = connection;
  const { text } = loadScripts().batch;
  const asked = connector.isCluster
    ? redis.call('CLUSTER', 'SLOTS')
    : redis.call('EVAL', text, '0', '0', '0', '0', '0', '', '0', '0', '0');
  try {
    await within(clock, options.commandTimeoutMs, asked, () =>
      lostFault(at, `no answer in ${options.commandTimeoutMs} ms`),
    );
  } catch (error) {
    throw faultOf(error, at);
  } finally {
    connection.end(null);
  }
}
