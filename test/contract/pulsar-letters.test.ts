/** Retry letters on the embedded bus. */
import { opened } from '../pulsar/support.ts';
import { lettersContract } from './pulsar-letters.ts';

lettersContract('memory:', async () => ({ client: (await opened({ url: 'memory:' })).client, topic: 't' }));
