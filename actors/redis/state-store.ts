/** Durable states of the engine as versioned values that never expire: `rev` is their version (E12). */
import type { StateStore } from '../../runtime/index.ts';
import type { RedisClient } from './contract.ts';

export function stateStoreOf(client: RedisClient): StateStore {
  return {
    async load(names) {
      const found = await client.getManyVersioned(names);
      return found.map(one => one && { rev: one.version.n, bytes: bytesOf(one.value) });
    },
    save: states =>
      Promise.all(
        states.map(async ({ name, rev, bytes }) => {
          const { outcome } = await client.setVersioned(name, bytes, { epoch: 0, n: rev }, { ttlMs: 0 });
          if (outcome !== 'same') return outcome === 'newer';
          // It was written before: by this very call, whose reply was lost, or by somebody else.
          const there = await client.getVersioned(name);
          return there !== null && Buffer.compare(bytesOf(there.value), bytes) === 0;
        }),
      ),
    names: prefix => client.scan(prefix),
  };
}

function bytesOf(value: string | Uint8Array): Uint8Array {
  return typeof value === 'string' ? Buffer.from(value) : value;
}
