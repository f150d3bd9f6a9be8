/** The typed face over asks: every call is one ask, made before the call returns, so calls keep their order. */

import type { Version } from '../../runtime/index.ts';
import type {
  CompareOptions,
  Entry,
  Expected,
  Fields,
  Lease,
  Merge,
  MergeReply,
  RedisClient,
  RedisRead,
  RedisValue,
  SetOptions,
  Step,
  VersionedReply,
  VersionedValue,
  WriteOptions,
} from './contract.ts';
import type {
  CompareAndSetOp,
  DataOp,
  FieldsReply,
  MergeOp,
  ScanCursor,
  ScanPage,
  SetVersionedOp,
  StepOp,
} from './ops.ts';
import { type Ask, type Pause, Subscription } from './subscription.ts';

export function clientOf(ask: Ask, pause?: Pause): RedisClient {
  return new AskingClient(ask, pause);
}

class AskingClient implements RedisClient {
  readonly #ask: Ask;
  readonly #pause: Pause | undefined;

  constructor(ask: Ask, pause: Pause | undefined) {
    this.#ask = ask;
    this.#pause = pause;
  }

  async get(key: string): Promise<RedisValue | null> {
    return (await this.getMany([key]))[0]!;
  }

  getMany(keys: readonly string[]): Promise<(RedisValue | null)[]> {
    return this.#call({ op: 'get', keys });
  }

  set(key: string, value: RedisValue, options?: SetOptions): Promise<boolean> {
    return this.#call(setOp(key, value, options));
  }

  delete(...keys: readonly string[]): Promise<number> {
    return this.#call({ op: 'delete', keys });
  }

  expire(key: string, ttlMs: number): Promise<boolean> {
    return this.#call({ op: 'expire', key, ttlMs });
  }

  async getVersioned(key: string): Promise<VersionedValue | null> {
    return (await this.getManyVersioned([key]))[0]!;
  }

  getManyVersioned(keys: readonly string[]): Promise<(VersionedValue | null)[]> {
    return this.#call({ op: 'getVersioned', keys });
  }

  setVersioned(key: string, value: RedisValue, version: Version, options?: WriteOptions): Promise<VersionedReply> {
    return this.#call(versionedOp(key, value, version, options));
  }

  deleteVersioned(key: string, version: Version, options?: WriteOptions): Promise<VersionedReply> {
    return this.#call(versionedOp(key, null, version, options));
  }

  compareAndSet(
    key: string,
    expected: Expected,
    value: RedisValue | null,
    options?: CompareOptions,
  ): Promise<VersionedReply> {
    return this.#call(compareOp(key, expected, value, options));
  }

  getEntries(keys: readonly string[]): Promise<Entry[]> {
    return this.#call({ op: 'getEntries', keys });
  }

  async getFields(key: string): Promise<Fields | null> {
    return (await this.getManyFields([key]))[0]!;
  }

  async getManyFields(keys: readonly string[]): Promise<(Fields | null)[]> {
    const found: readonly (FieldsReply | null)[] = await this.#call({ op: 'getFields', keys });
    return found.map(reply => reply && fieldsOf(reply));
  }

  merge(merge: Merge): Promise<MergeReply> {
    return this.#call(mergeOp(merge));
  }

  multi(steps: readonly Step[]): Promise<unknown[]> {
    return this.#call({ op: 'multi', steps: steps.map(stepOp) });
  }

  publish(channel: string, message: RedisValue): Promise<number> {
    return this.#call({ op: 'publish', channel, message, isFilled: false });
  }

  subscribe(what: RedisRead, options?: { readonly signal?: AbortSignal | undefined }): Subscription {
    return new Subscription(this.#ask, what, options?.signal, this.#pause);
  }

  acquire(name: string, holder: string, ttlMs: number): Promise<Lease | null> {
    return this.#call({ op: 'acquire', name, holder, ttlMs });
  }

  renew(lease: Lease): Promise<boolean> {
    return this.#call({ op: 'renew', lease });
  }

  release(lease: Lease): Promise<boolean> {
    return this.#call({ op: 'release', lease });
  }

  async *scan(prefix: string): AsyncGenerator<string, void, void> {
    let cursor: ScanCursor | null = null;
    do {
      const page: ScanPage = await this.#call({ op: 'scan', prefix, cursor });
      yield* page.keys;
      cursor = page.next;
    } while (cursor !== null);
  }

  epoch(): Promise<number> {
    return this.#call({ op: 'epoch' });
  }

  #call<T>(op: DataOp): Promise<T> {
    return this.#ask(op) as Promise<T>;
  }
}

function stepOp(step: Step): StepOp {
  switch (step.do) {
    case 'set':
      return setOp(step.key, step.value, step.options);
    case 'delete':
      return { op: 'delete', keys: [step.key] };
    case 'setVersioned':
      return versionedOp(step.key, step.value, step.version, step.options);
    case 'compareAndSet':
      return compareOp(step.key, step.expected, step.value, step.options);
    case 'merge':
      return mergeOp(step);
    case 'publish':
      return { op: 'publish', channel: step.channel, message: step.message, isFilled: step.isFilled ?? false };
  }
}

function setOp(key: string, value: RedisValue, options: SetOptions | undefined): StepOp {
  const id = options?.ifAbsent ? crypto.randomUUID() : null;
  return { op: 'set', key, value, ttlMs: options?.ttlMs ?? null, id };
}

function versionedOp(
  key: string,
  value: RedisValue | null,
  version: Version,
  options: WriteOptions | undefined,
): SetVersionedOp {
  return {
    op: 'setVersioned',
    key,
    value,
    version,
    ttlMs: options?.ttlMs ?? null,
    fence: options?.fence ?? null,
  };
}

function compareOp(
  key: string,
  expected: Expected,
  value: RedisValue | null,
  options: CompareOptions | undefined,
): CompareAndSetOp {
  return {
    op: 'compareAndSet',
    key,
    expected,
    seen: options?.seen,
    above: options?.above ?? null,
    value,
    ttlMs: options?.ttlMs ?? null,
    fence: options?.fence ?? null,
    id: crypto.randomUUID(),
  };
}

function mergeOp(merge: Merge): MergeOp {
  const names = Object.keys(merge.fields ?? {});
  return {
    op: 'merge',
    key: merge.key,
    version: merge.version,
    names,
    values: names.map(name => merge.fields![name]!),
    isWhole: merge.isWhole ?? false,
    isGone: merge.isGone ?? false,
    ttlMs: merge.ttlMs ?? null,
    publish: merge.publish ?? null,
    fence: merge.fence ?? null,
  };
}

/** Records without a prototype: a field may be called `__proto__`, and one that is not there is not `constructor`. */
function fieldsOf(reply: FieldsReply): Fields {
  const fields: Record<string, RedisValue> = Object.create(null);
  const versions: Record<string, Version> = Object.create(null);
  reply.names.forEach((name, index) => {
    const value = reply.values[index]!;
    if (value !== null) fields[name] = value;
    versions[name] = reply.versions[index]!;
  });
  return { fields, versions, version: reply.version, isGone: reply.isGone };
}
