/** What `check` hands to a rehearsal. */
import { systemEnvironment } from '../../runtime/environment.ts';

export const TOOLS = {
  environment: systemEnvironment(),
  log: { debug() {}, info() {}, warn() {}, error() {} },
};
