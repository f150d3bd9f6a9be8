import { file } from '../actors/file/index.ts';
import { defineTopology } from '../runtime/index.ts';
import account from './zz-count.ts';
export default defineTopology({
  module: import.meta.url,
  name: 'payments',
  io: { in: file({ url: '-' }) },
  sources: { payments: { from: 'in', to: 'account' } },
  actors: { account },
});
