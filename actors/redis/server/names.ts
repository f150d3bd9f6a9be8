/**
 * What keys and channels are called on a server. The version of `a` stands at `{a}:version`, that of `{t}a` at
 * `{t}a:version`: in a cluster the two are in one slot. What is our own begins with `keymill:{`.
 */
import { KeymillError } from '../../../runtime/index.ts';
import { slotOf, tagOf, tagOfSlot } from './slots.ts';

const VERSION = ':version';
const OWN = 'keymill:{';

export class Names {
  readonly #prefix: string;
  readonly #isCluster: boolean;
  /** A key without a hash tag of its own gets one behind the prefix: `a` and `{a}x` stay in one slot. */
  readonly #isTagged: boolean;

  constructor(prefix: string, isCluster: boolean) {
    this.#prefix = prefix;
    this.#isCluster = isCluster;
    this.#isTagged = isCluster && prefix !== '' && !prefix.includes('{');
  }

  /** Throws RECORD_BROKEN for names that a server cannot tell from others. */
  key(key: string): string {
    const isTagless = !key.includes('{') && !key.includes('}');
    const name = this.#isTagged && tagOf(key) === key ? `${this.#prefix}{${key}}` : this.#prefix + key;
    if (!isTagless || key === '' || name.endsWith(VERSION)) this.#check(key, name);
    return name;
  }

  /** Of a key as it stands on the server. */
  version(name: string): string {
    return name.includes('{') && tagOf(name) !== name ? name + VERSION : `{${name}}${VERSION}`;
  }

  slot(name: string): number {
    return this.#isCluster ? slotOf(name) : 0;
  }

  /** The key that a name on the server stands for, or that its version is of; null where it is none of ours. */
  keyOf(name: string): string | null {
    let plain = name;
    if (name.endsWith(VERSION) && name.includes('{')) {
      plain = name.slice(0, -VERSION.length);
      if (isInBraces(plain)) plain = plain.slice(1, -1);
    }
    if (!plain.startsWith(this.#prefix)) return null;
    const key = plain.slice(this.#prefix.length);
    if (key.startsWith(OWN)) return null;
    return this.#isTagged && isInBraces(key) ? key.slice(1, -1) : key;
  }

  /** Globs of the names of all keys that begin so, and of those version keys of them that begin otherwise. */
  globs(keyPrefix: string): { readonly keys: readonly string[]; readonly versions: string } {
    const whole = escaped(this.#prefix + keyPrefix);
    const keys = this.#isTagged ? [`${whole}*`, `${escaped(this.#prefix)}{${escaped(keyPrefix)}*`] : [`${whole}*`];
    return { keys, versions: `{${whole}*}${VERSION}` };
  }

  channel(channel: string): string {
    return this.#prefix + channel;
  }

  channelOf(name: string): string {
    return name.slice(this.#prefix.length);
  }

  pattern(pattern: string): string {
    return escaped(this.#prefix) + pattern;
  }

  patternOf(name: string): string {
    return name.slice(escaped(this.#prefix).length);
  }

  get epoch(): string {
    return `${this.#prefix}${OWN}epoch}`;
  }

  /** What is remembered of a driver's batches in a slot. */
  memory(slot: number, driver: string, place: number): string {
    const tag = this.#isCluster ? tagOfSlot(slot) : 'batches';
    return `${this.#prefix}${OWN}${tag}}:${driver}:${place}`;
  }

  #check(key: string, name: string): void {
    const refuse = (why: string): never => {
      throw new KeymillError('RECORD_BROKEN', `the key ${JSON.stringify(key.slice(0, 80))} ${why}`, { class: 'fatal' });
    };
    if (key.startsWith(OWN)) refuse(`begins with ${OWN}, as what keymill keeps for itself on a server does`);
    if (name.endsWith(VERSION) && name.includes('{'))
      refuse(`is called as the version of another key would be on a server`);
    const tag = tagOf(key);
    if (tag !== key && key.length === tag.length + 2)
      refuse('is a hash tag and nothing else: on a server its version would be that of the key without the braces');
    if (tag === key && key.includes('}'))
      refuse(
        'has a closing brace and no hash tag: on a server its version could be that of another key. {tag}rest is one with a tag',
      );
    if (this.#isCluster && !this.#prefix.includes('{') && key === '')
      refuse('is empty: it cannot be in one slot of a cluster with its version');
  }
}

/** A name without a closing brace, in braces. */
function isInBraces(text: string): boolean {
  return text.startsWith('{') && text.indexOf('}') === text.length - 1;
}

function escaped(text: string): string {
  return text.replace(/[\\*?[\]^-]/g, '\\$&');
}
