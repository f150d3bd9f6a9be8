/**
 * Scans that are under way: through the keys of each master, and then through the version keys that are called otherwise,
 * for what has nothing but those (tombstones, hashes without fields). The names that were given are remembered, as a server
 * may give one more than once.
 */
import { KeymillError } from '../../../runtime/index.ts';
import type { ScanCursor, ScanPage } from '../ops.ts';
import type { Names } from './names.ts';
import type { Node, Road } from './road.ts';
import type { Script } from './scripts.ts';

/** Keys that a server looks at for one page. */
const PAGE_LOOKS = '1000';
/** One that was begun and left long ago makes room. */
const MOST_SCANS = 64;

interface Walk {
  readonly node: string;
  readonly glob: string;
  readonly of: 'keys' | 'versions';
}

interface Scan {
  readonly prefix: string;
  readonly walks: readonly Walk[];
  /** The walk that goes on, and its cursor on the server. */
  walk: number;
  cursor: string;
  readonly given: Set<string>;
  page: number;
  /** The last page given. */
  last: ScanPage;
}

export class ServerScans {
  readonly #road: Road;
  readonly #names: Names;
  readonly #script: Script;
  readonly #birth: string;
  #made = 0;
  /** Used longest ago first. */
  readonly #scans = new Map<string, Scan>();

  /** `birth`: unlike that of another life of this thread. */
  constructor(road: Road, names: Names, script: Script, birth: string) {
    this.#road = road;
    this.#names = names;
    this.#script = script;
    this.#birth = birth;
  }

  /** Throws IO_FAILED where the scan was begun in another life of this thread, or left for long. */
  async page(prefix: string, cursor: ScanCursor | null): Promise<ScanPage> {
    if (cursor === null) {
      const id = `${this.#birth}.${++this.#made}`;
      if (this.#scans.size >= MOST_SCANS) this.#scans.delete(this.#scans.keys().next().value!);
      return this.#next(id, await this.#begin(prefix));
    }
    const scan = this.#scans.get(cursor.id);
    if (!scan)
      throw new KeymillError('IO_FAILED', 'the scan was cut off: its thread was replaced, or it was left for long', {
        class: 'unknown',
      });
    this.#scans.delete(cursor.id);
    this.#scans.set(cursor.id, scan);
    return cursor.page < scan.page ? scan.last : this.#next(cursor.id, scan); // asked for again
  }

  async #begin(prefix: string): Promise<Scan> {
    const { keys, versions } = this.#names.globs(prefix);
    const nodes = await this.#road.nodes();
    const walks = nodes.flatMap(({ name }): Walk[] => [
      ...keys.map(glob => ({ node: name, glob, of: 'keys' as const })),
      { node: name, glob: versions, of: 'versions' },
    ]);
    return { prefix, walks, walk: 0, cursor: '0', given: new Set(), page: 0, last: { keys: [], next: null } };
  }

  async #next(id: string, scan: Scan): Promise<ScanPage> {
    const walk = scan.walks[scan.walk]!;
    const nodes = await this.#road.nodes();
    const node = nodes.find(one => one.name === walk.node);
    if (!node)
      throw new KeymillError('IO_FAILED', `the scan was cut off: ${walk.node} is no master any more`, {
        class: 'unknown',
      });
    const [next, found] = (await this.#onNode(node, scan.cursor, walk)) as [Buffer, Buffer[]];
    const keys: string[] = [];
    for (const name of found) {
      const key = this.#names.keyOf(name.toString());
      if (key === null || !key.startsWith(scan.prefix) || scan.given.has(key)) continue;
      scan.given.add(key);
      keys.push(key);
    }
    scan.cursor = next.toString();
    if (scan.cursor === '0') scan.walk++;
    scan.page++;
    const isOver = scan.walk >= scan.walks.length;
    scan.last = { keys, next: isOver ? null : { id, page: scan.page } };
    this.#scans.set(id, scan);
    return scan.last;
  }

  #onNode(node: Node, cursor: string, { glob, of }: Walk): Promise<unknown> {
    return node.call('EVAL', this.#script.text, '0', cursor, glob, PAGE_LOOKS, of);
  }
}
