/**
 * The I/O actor itself. The data asks of a drain go to the driver as one array, in order; polls of subscriptions wait on the
 * hub beside them.
 */
import {
  describe,
  type IoContext,
  type IoMetric,
  type IoReply,
  type IoResource,
  KeymillError,
  type SourceHalf,
} from '../../runtime/index.ts';
import type { RedisDriver } from './driver.ts';
import type { Hub } from './hub.ts';
import { type DataOp, isDataOp, isPollOp } from './ops.ts';
import { redisSource } from './source.ts';

export class RedisResource implements IoResource {
  readonly #driver: RedisDriver;
  readonly #hub: Hub;
  readonly #context: IoContext;

  constructor(driver: RedisDriver, hub: Hub, context: IoContext) {
    this.#driver = driver;
    this.#hub = hub;
    this.#context = context;
  }

  async handleBatch(asks: readonly unknown[], signal: AbortSignal): Promise<readonly IoReply[]> {
    if (asks.every(isDataOp)) return this.#driver.run(asks, signal);
    const replies: IoReply[] = new Array(asks.length);
    const data: DataOp[] = [];
    const places: number[] = [];
    const polls: Promise<void>[] = [];
    for (const [index, ask] of asks.entries()) {
      if (isDataOp(ask)) {
        data.push(ask);
        places.push(index);
      } else if (isPollOp(ask))
        polls.push(
          this.#hub.poll(ask.id, ask.after, signal).then(
            value => {
              replies[index] = { value };
            },
            (error: unknown) => {
              replies[index] = { error };
            },
          ),
        );
      else
        replies[index] = {
          error: new KeymillError('RECORD_BROKEN', `not an ask of a redis I/O actor: ${describe(ask)}`, {
            class: 'fatal',
          }),
        };
    }
    const answered = data.length === 0 ? [] : await this.#driver.run(data, signal);
    for (const [i, reply] of answered.entries()) replies[places[i]!] = reply;
    await Promise.all(polls);
    return replies;
  }

  source(read: Record<string, unknown>): SourceHalf {
    return redisSource(this.#driver, this.#hub, this.#context, read);
  }

  probe(): Promise<void> {
    return this.#driver.probe();
  }

  metrics(): readonly IoMetric[] {
    return this.#driver.metrics();
  }

  drain(): void {
    this.#hub.drain();
  }

  async close(): Promise<void> {
    this.#hub.close();
    await this.#driver.close();
  }
}
