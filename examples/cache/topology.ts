/** A lookup on every core, and a cache. `--set io.cache.url=redis://…` shares it among processes. */
import { cache } from '../../actors/cache/index.ts';
import { defineTopology } from '../../runtime/index.ts';
import lookup from './lookup.ts';

export default defineTopology({
  module: import.meta.url,
  name: 'countries',
  io: { cache: cache({ url: 'memory:', namespace: 'countries', staleMs: 600_000 }) },
  actors: { lookup },
});
