/** The conformance suite on the driver of the official client, over a fake of its package on the embedded bus. */
import { officialDriver } from '../pulsar/official-support.ts';
import { pulsarContract } from './pulsar.ts';

pulsarContract('pulsar-client, faked', {
  open: async () => {
    const { driver, another } = await officialDriver();
    return { driver, another, reopen: async () => driver };
  },
  keeps: false,
  deduplicates: false,
  cannot: {
    'a message arrives as it was sent': 'null payloads cannot be published; see test/pulsar/official.test.ts',
    'a key decides the partition, by Murmur3; a consumer reads them all, each in order':
      'an empty key comes back as none; see test/pulsar/official.test.ts',
    'without subscription there is none: unsubscribe removes it, unless others use it':
      'why an unsubscribe was refused is not told',
    'a producer with an epoch shuts out those of lower ones, and comes after none of a higher':
      'epochs cannot be given',
    'what is not acknowledged in time is given again': 'ack time-outs are 10 s or more',
    'the dead-letter topic may have another name': 'null payloads, and one redelivery at least',
    'to a message, which is the next; to the start, and to the end': 'no seek of a subscription to a message',
    'is kept by the subscription': 'no seek of a subscription to a message',
    'from the end on, from behind a message, from a message, from a time': 'readers begin behind a message only',
  },
});
