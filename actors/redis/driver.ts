/** What a store must do for a `redis` I/O actor. Everything above it is the same for every driver. */
import type { IoMetric, IoReply, MaybePromise } from '../../runtime/index.ts';
import type { DataOp } from './ops.ts';

export interface RedisDriver {
  /**
   * One reply per ask, done in the order of the asks. Those of one drain come together: one transaction, or one pipeline.
   * A throw fails them all, and nothing of them stands then. `subscribe` is answered with an id of the hub, and what is
   * published after it is heard.
   */
  run(ops: readonly DataOp[], signal: AbortSignal): MaybePromise<readonly IoReply[]>;
  /** Succeeds when asks would. */
  probe(): Promise<void>;
  /** What it measures of itself, each time the same series. */
  metrics(): readonly IoMetric[];
  /** Flushes and lets go of everything. */
  close(): MaybePromise<void>;
}
