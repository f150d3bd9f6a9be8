import { defineTopology } from '../runtime/index.ts';
import account from './zz-count.ts';
export default defineTopology({
  module: import.meta.url,
  name: 'payments',
  actors: { account: { use: account, onKeyFull: 'park' } },
});
