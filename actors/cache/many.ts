/** One call of a loader for all keys of a `getOrSetMany` that are loaded here; each key's load joins it. */
import { type Environment, KeymillError } from '../../runtime/index.ts';
import type { Load, LoadMany, LoadReply } from './contract.ts';

interface Joined<V> {
  readonly key: string;
  readonly signal: AbortSignal;
  resolve(reply: LoadReply<V>): void;
  reject(error: unknown): void;
}

/** Those that ask in one turn are one call: their leases were asked for together, and were given together. */
export function loadMany<V>(load: LoadMany<V>, environment: Environment): Load<V> {
  let joined: Joined<V>[] = [];
  const call = async (): Promise<void> => {
    const all = joined;
    joined = [];
    try {
      const replies = await load(
        all.map(({ key }) => key),
        AbortSignal.any(all.map(({ signal }) => signal)),
      );
      if (!Array.isArray(replies) || replies.length !== all.length)
        throw new KeymillError(
          'CACHE_VALUE_INVALID',
          `a loader of ${all.length} keys gave ${Array.isArray(replies) ? `${replies.length} values` : 'no array'}`,
        );
      for (const [i, { resolve }] of all.entries()) resolve(replies[i] as LoadReply<V>);
    } catch (error) {
      for (const { reject } of all) reject(error);
    }
  };
  return ({ key, signal }) =>
    new Promise((resolve, reject) => {
      if (joined.push({ key, signal, resolve, reject }) === 1) environment.endOfTurn(() => void call());
    });
}
