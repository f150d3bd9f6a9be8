/** Does the commands of the embedded store, one after the other. Each is all or nothing. */
import { KeymillError } from '../../../runtime/index.ts';
import type { RedisValue, VersionedReply } from '../contract.ts';
import type { Delivery, Hub } from '../hub.ts';
import { BLANK, type DataOp, type MergeOp, type StepOp } from '../ops.ts';
import { getFields, mergeFields } from './fields.ts';
import type { Keyspace } from './keyspace.ts';
import { acquire, release, renew } from './leases.ts';
import { checkValue, type Limits, type Moment, misasked, type Tokens } from './moment.ts';
import { Scans } from './scans.ts';
import {
  compareAndSet,
  deleteKeys,
  expireKey,
  getEntry,
  getValue,
  getVersioned,
  setValue,
  setVersioned,
} from './values.ts';

export interface StoreNeeds {
  readonly keys: Keyspace;
  readonly tokens: Tokens;
  readonly epoch: number;
  readonly limits: Limits;
  readonly hub: Hub;
  /** Unlike that of another life of this thread. */
  readonly birth: string;
}

export class Store {
  readonly #needs: StoreNeeds;
  readonly #scans: Scans;
  #deliveries: Delivery[] = [];
  /** Subscriptions made since `stands`. */
  #opened: string[] = [];
  /** Reads that found something, and that did not. */
  hits = 0;
  misses = 0;

  constructor(needs: StoreNeeds) {
    this.#needs = needs;
    this.#scans = new Scans(needs.birth);
  }

  /** The commands that follow are done at this time. */
  at(now: number): Moment {
    const { keys, limits, epoch, tokens } = this.#needs;
    return { keys, limits, now, epoch, tokens, deliveries: this.#deliveries };
  }

  /** What the client is answered. Throws, and leaves nothing then. */
  do(at: Moment, op: DataOp): unknown {
    const mark = at.keys.mark();
    const published = at.deliveries.length;
    try {
      return this.#do(at, op);
    } catch (error) {
      at.keys.rollback(mark);
      at.deliveries.length = published;
      throw error;
    }
  }

  /** What was done since the last time is kept: now it is heard. */
  stands(): void {
    this.#needs.keys.settle();
    this.#opened.length = 0;
    if (this.#deliveries.length === 0) return;
    const deliveries = this.#deliveries;
    this.#deliveries = [];
    this.#needs.hub.deliver(deliveries);
  }

  /** What was done since the last time never was. */
  falls(): void {
    this.#needs.keys.rollback(0);
    this.#deliveries = [];
    for (const id of this.#opened.splice(0)) this.#needs.hub.drop(id);
  }

  #do(at: Moment, op: DataOp): unknown {
    switch (op.op) {
      case 'get':
        return this.#read(op.keys, key => getValue(at, key));
      case 'getVersioned':
        return this.#read(op.keys, key => getVersioned(at, key));
      case 'getEntries':
        return op.keys.map(key => {
          const entry = getEntry(at, textOf(key));
          this.#count(entry.value !== null);
          return entry;
        });
      case 'getFields':
        return this.#read(op.keys, key => getFields(at, key));
      case 'expire':
        return expireKey(at, textOf(op.key), op.ttlMs);
      case 'multi':
        return this.#multi(at, op.steps);
      case 'acquire':
        return acquire(at, textOf(op.name), textOf(op.holder), op.ttlMs);
      case 'renew':
        return renew(at, op.lease);
      case 'release':
        return release(at, op.lease);
      case 'scan':
        return this.#scans.page(at, op.prefix, op.cursor);
      case 'epoch':
        return at.epoch;
      case 'subscribe': {
        textOf('pattern' in op.what ? op.what.pattern : op.what.channel);
        const id = this.#needs.hub.open(op.what);
        this.#opened.push(id);
        return id;
      }
      case 'unsubscribe':
        return this.#needs.hub.drop(op.id);
      default:
        return this.#step(at, op);
    }
  }

  #multi(at: Moment, steps: readonly StepOp[]): unknown[] {
    const replies: unknown[] = [];
    for (const step of steps)
      replies.push(
        step.op === 'publish' && step.isFilled
          ? this.#publish(at, step.channel, filled(step.message, replies.at(-1)))
          : this.#step(at, step),
      );
    return replies;
  }

  #step(at: Moment, op: StepOp): unknown {
    switch (op.op) {
      case 'set':
        textOf(op.key);
        return setValue(at, op);
      case 'delete':
        return deleteKeys(at, op.keys.map(textOf));
      case 'setVersioned':
        textOf(op.key);
        return setVersioned(at, op);
      case 'compareAndSet':
        textOf(op.key);
        return compareAndSet(at, op);
      case 'merge':
        return this.#merge(at, op);
      case 'publish':
        return this.#publish(at, op.channel, op.message);
      default:
        throw misasked(`the step ${String((op as { op: unknown }).op)}`);
    }
  }

  #merge(at: Moment, op: MergeOp): unknown {
    textOf(op.key);
    const reply = mergeFields(at, op);
    // Of one made again, the publishing may have been lost with the reply.
    if (op.publish !== null && reply.outcome !== 'older') this.#publish(at, op.publish.channel, op.publish.message);
    return reply;
  }

  #publish(at: Moment, channel: string, message: RedisValue): number {
    textOf(channel);
    checkValue(at, message);
    const to = this.#needs.hub.audience(channel);
    if (to.length > 0) at.deliveries.push({ to, published: { channel, message } });
    return to.length;
  }

  #read<T>(keys: readonly string[], read: (key: string) => T | null): (T | null)[] {
    return keys.map(key => {
      const found = read(textOf(key));
      this.#count(found !== null);
      return found;
    });
  }

  #count(isHit: boolean): void {
    if (isHit) this.hits++;
    else this.misses++;
  }
}

function filled(message: RedisValue, reply: unknown): RedisValue {
  if (typeof message !== 'string') return message;
  const { version } = (typeof reply === 'object' && reply !== null ? reply : {}) as Partial<VersionedReply>;
  return message.replace(BLANK, () => (version ? JSON.stringify({ epoch: version.epoch, n: version.n }) : 'null'));
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw misasked('a name that is not text');
  return value;
}

/** A write for which there is no room now: the same may succeed later. */
export function mayHeal(error: unknown): boolean {
  return error instanceof KeymillError && (error.class === 'transient' || error.class === 'throttled');
}
