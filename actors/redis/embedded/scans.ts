/**
 * Scans that are under way. Each goes through the keys in the order of their making, a bounded number for each ask, so none
 * holds the others up; changes meanwhile do not disturb it.
 */
import { KeymillError } from '../../../runtime/index.ts';
import type { ScanCursor, ScanPage } from '../ops.ts';
import { current, type Entry, isThere } from './entries.ts';
import type { Moment } from './moment.ts';

/** Keys looked at for one page, and keys of it at most. */
const PAGE_LOOKS = 2000;
const PAGE_KEYS = 500;
/** One that was begun and left long ago makes room. */
export const MOST_SCANS = 64;

interface Scan {
  readonly prefix: string;
  readonly entries: Iterator<[string, Entry]>;
  page: number;
  /** The last page given. */
  last: ScanPage;
}

export class Scans {
  readonly #birth: string;
  #made = 0;
  /** Used longest ago first. */
  readonly #scans = new Map<string, Scan>();

  /** `birth`: unlike that of another life of this store. */
  constructor(birth: string) {
    this.#birth = birth;
  }

  /** Throws IO_FAILED where the scan was begun in another life of the store, or left for long. */
  page(at: Moment, prefix: string, cursor: ScanCursor | null): ScanPage {
    if (cursor === null) {
      const id = `${this.#birth}.${++this.#made}`;
      if (this.#scans.size >= MOST_SCANS) this.#scans.delete(this.#scans.keys().next().value!);
      return this.#next(at, id, { prefix, entries: at.keys.all(), page: 0, last: { keys: [], next: null } });
    }
    const scan = this.#scans.get(cursor.id);
    if (!scan)
      throw new KeymillError('IO_FAILED', 'the scan was cut off: its thread was replaced, or it was left for long', {
        class: 'unknown',
      });
    this.#scans.delete(cursor.id);
    if (cursor.page >= scan.page) return this.#next(at, cursor.id, scan);
    this.#scans.set(cursor.id, scan); // asked for again
    return scan.last;
  }

  #next(at: Moment, id: string, scan: Scan): ScanPage {
    const keys: string[] = [];
    scan.page++;
    let next: ScanCursor | null = { id, page: scan.page };
    for (let looked = 0; looked < PAGE_LOOKS && keys.length < PAGE_KEYS; looked++) {
      const { done, value } = scan.entries.next();
      if (done) {
        next = null;
        break;
      }
      const [key, entry] = value;
      if (key.startsWith(scan.prefix) && isThere(current(key, entry, at.now), at.now)) keys.push(key);
    }
    scan.last = { keys, next };
    this.#scans.set(id, scan);
    return scan.last;
  }
}
