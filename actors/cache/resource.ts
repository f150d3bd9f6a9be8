/** The I/O actor of a cache: its store's, with asks of its own. Reads go to the store among the store's own asks, in order. */
import type { IoContext, IoMetric, IoReply, IoResource, SourceHalf, Version } from '../../runtime/index.ts';
import type { Entry } from '../redis/contract.ts';
import { Sums } from './counts.ts';
import { Leads } from './leads.ts';
import { type CacheOp, isCacheOp, type ReadOp, type ReadReply } from './ops.ts';

type LocalOp = Exclude<CacheOp, ReadOp>;

export class CacheResource implements IoResource {
  readonly #store: IoResource;
  readonly #leads: Leads;
  readonly #sums = new Sums();

  constructor(store: IoResource, { environment }: Pick<IoContext, 'environment'>) {
    this.#store = store;
    this.#leads = new Leads(environment);
  }

  async handleBatch(asks: readonly unknown[], signal: AbortSignal): Promise<readonly IoReply[]> {
    const replies: IoReply[] = new Array(asks.length);
    const forStore: unknown[] = [];
    const places: number[] = [];
    const waits: Promise<void>[] = [];
    for (const [index, ask] of asks.entries())
      if (!isCacheOp(ask)) {
        forStore.push(ask);
        places.push(index);
      } else if (ask.op === 'cache.read') {
        forStore.push({ op: 'getEntries', keys: ask.keys });
        places.push(index);
      } else
        waits.push(
          this.#local(ask, signal).then(value => {
            replies[index] = { value };
          }),
        );
    if (forStore.length > 0) {
      const answered = await this.#store.handleBatch(forStore, signal);
      for (const [i, reply] of answered.entries()) {
        const ask = asks[places[i]!];
        replies[places[i]!] =
          'error' in reply || !isCacheOp(ask)
            ? reply
            : { value: withoutKnown(reply.value as readonly Entry[], (ask as ReadOp).versions) };
      }
    }
    await Promise.all(waits);
    return replies;
  }

  source(read: Record<string, unknown>): SourceHalf {
    return this.#store.source!(read);
  }

  async probe(): Promise<void> {
    await this.#store.probe?.();
  }

  metrics(): readonly IoMetric[] {
    return [...(this.#store.metrics?.() ?? []), ...this.#sums.metrics()];
  }

  drain(): void {
    this.#leads.drain();
    this.#store.drain?.();
  }

  close(): void | Promise<void> {
    return this.#store.close();
  }

  async #local(ask: LocalOp, signal: AbortSignal): Promise<unknown> {
    switch (ask.op) {
      case 'cache.lead':
        return this.#leads.lead(ask);
      case 'cache.done':
        return this.#leads.done(ask.key, ask.by, ask.outcome);
      case 'cache.wait':
        return this.#leads.wait(ask.by, ask.after, signal);
      case 'cache.told':
        return this.#sums.told(ask.by, ask.told);
    }
  }
}

function withoutKnown(entries: readonly Entry[], versions: readonly (Version | null)[]): ReadReply[] {
  return entries.map((entry, i) => {
    const known = versions[i] ?? null;
    const { version } = entry;
    const isSame =
      entry.value !== null &&
      known !== null &&
      version !== null &&
      known.epoch === version.epoch &&
      known.n === version.n;
    return { ...entry, value: isSame ? null : entry.value, isSame };
  });
}
