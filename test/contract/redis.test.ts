/** The conformance suite on the embedded stores. Their time is virtual. */
import { join } from 'node:path';
import { restartable } from '../redis/support.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { LIMITS, redisContract } from './redis.ts';

redisContract('memory:', { open: () => restartable({ ...LIMITS, url: 'memory:' }), keeps: false });
redisContract('file:', {
  open: async () =>
    restartable({ ...LIMITS, url: `file:${join(await tempFolder('redis'), 'store.db')}`, fsync: 'none' }),
  keeps: true,
});
