/**
 * Names of things in the store. What belongs together has one hash tag, `{…}`, and so one slot of a cluster: a value with its
 * version, and the lease of its load. Braces of the caller are escaped, so that his keys cannot choose a slot.
 */
import { describe, KeymillError } from '../../runtime/index.ts';

/** UTF-16 units; longer ones are better hashed by the caller. */
export const LONGEST_KEY = 1024;
// biome-ignore lint/suspicious/noControlCharactersInRegex: what is looked for
const CONTROL = /[\0-\x1f\x7f]/;
const ESCAPED = /[%{}]/g;

/** Throws CACHE_KEY_INVALID. */
export function checkKey(key: unknown, what = 'a key'): asserts key is string {
  const problem =
    typeof key !== 'string'
      ? `expected text, found ${describe(key)}`
      : key === ''
        ? 'it is empty'
        : key.length > LONGEST_KEY
          ? `it has ${key.length} characters, the most are ${LONGEST_KEY}`
          : CONTROL.test(key)
            ? `${JSON.stringify(key.slice(0, 80))} holds a control character`
            : key.isWellFormed()
              ? null
              : `${JSON.stringify(key.slice(0, 80))} holds half a character`;
  if (problem !== null) throw new KeymillError('CACHE_KEY_INVALID', `${what} of the cache: ${problem}`);
}

export class Names {
  readonly #namespace: string;
  readonly channel: string;

  constructor(namespace: string) {
    this.#namespace = namespace;
    this.channel = `${namespace}:invalidations`;
  }

  value(key: string): string {
    return `${this.#namespace}:k:{${escaped(key)}}`;
  }

  lease(key: string): string {
    return `${this.#namespace}:l:{${escaped(key)}}`;
  }

  tag(tag: string): string {
    return `${this.#namespace}:t:{${escaped(tag)}}`;
  }

  /** Which version of a set is current. */
  pointer(set: string): string {
    return `${this.#namespace}:p:{${escaped(set)}}`;
  }

  /** An entry of one version of a set. They are spread over the slots. */
  member(set: string, id: string, key: string): string {
    return `${this.#namespace}:s:${escaped(set)}:${id}:{${escaped(key)}}`;
  }

  /** A page of the keys of one version of a set, by which it is cleared. */
  page(set: string, id: string, page: number): string {
    return `${this.#namespace}:i:${escaped(set)}:${id}:{${page}}`;
  }
}

function escaped(text: string): string {
  return text.replace(ESCAPED, found => `%${found.charCodeAt(0).toString(16)}`);
}
