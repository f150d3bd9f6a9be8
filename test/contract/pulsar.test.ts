/** The conformance suite on the embedded bus, in memory and in a file, with and without deduplication. */
import { join } from 'node:path';
import { busAt } from '../pulsar/support.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { pulsarContract } from './pulsar.ts';

pulsarContract('memory:', {
  open: async () => {
    const driver = busAt(':memory:');
    return { driver, another: async () => driver, reopen: async () => driver };
  },
  keeps: false,
  deduplicates: false,
});

pulsarContract('file:', {
  open: async () => {
    const file = join(await tempFolder('pulsar'), 'bus.db');
    const driver = busAt(file, { deduplication: true, fsync: 'none' });
    return {
      driver,
      another: async () => driver,
      reopen: async () => {
        await driver.close();
        return busAt(file, { deduplication: true, fsync: 'none' });
      },
    };
  },
  keeps: true,
  deduplicates: true,
});
