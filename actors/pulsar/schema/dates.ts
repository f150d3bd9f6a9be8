/**
 * JSON whose dates stay dates. In the payload they are ISO 8601 text, as `JSON.stringify` has it, so every reader of JSON
 * understands them; the property `keymill-dates` of the message says which texts were dates: a JSON array of JSON pointers
 * (RFC 6901), where `*` in the place of an index is each element of an array.
 */
export const DATES_PROPERTY = 'keymill-dates';

/** As `Date.prototype.toJSON` writes it. */
const ISO = /^(?:[+-]\d\d)?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const SOME_ISO = /"(?:[+-]\d\d)?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/;

interface Place {
  /** With the index of each array that leads to it. */
  readonly exact: string;
  /** With `*` for it. */
  readonly wide: string;
}

/** `dates` is the value of the property, undefined for none. Throws what JSON cannot hold; `text` is undefined for undefined. */
export function datedJson(value: unknown): { readonly text: string | undefined; readonly dates?: string | undefined } {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined || !SOME_ISO.test(text)) return { text };
  const paths = datePaths(value);
  return paths.length === 0 ? { text } : { text, dates: JSON.stringify(paths) };
}

/** What `parsed` was before, by the value of the property. Changes it. What names no such text is passed over. */
export function withDates(parsed: unknown, dates: string | undefined): unknown {
  if (dates === undefined) return parsed;
  const root = { '': parsed };
  for (const path of pathsOf(dates)) revive(root, path.split('/').map(unescaped), 0);
  return root[''];
}

function datePaths(value: unknown): string[] {
  const places = new WeakMap<object, Place>();
  const found: Place[] = [];
  /** Places that are wide, of texts that look like dates and are none. */
  const others = new Set<string>();
  JSON.stringify(value, function replace(this: object, key: string, written: unknown) {
    const holder = places.get(this);
    const place: Place = holder
      ? {
          exact: `${holder.exact}/${escaped(key)}`,
          wide: `${holder.wide}/${Array.isArray(this) ? '*' : escaped(key)}`,
        }
      : { exact: '', wide: '' };
    const isText = typeof written === 'string' && ISO.test(written);
    if (isText && (this as Record<string, unknown>)[key] instanceof Date) found.push(place);
    else if (isText) others.add(place.wide);
    else if (typeof written === 'object' && written !== null) places.set(written, place);
    return written;
  });
  return [...new Set(found.map(({ exact, wide }) => (others.has(wide) ? exact : wide)))];
}

function revive(holder: object, path: readonly string[], at: number): void {
  const key = path[at]!;
  const keys = key === '*' && Array.isArray(holder) ? Object.keys(holder) : Object.hasOwn(holder, key) ? [key] : [];
  const inside = holder as Record<string, unknown>;
  for (const one of keys) {
    const value = inside[one];
    if (at < path.length - 1) {
      if (typeof value === 'object' && value !== null) revive(value, path, at + 1);
    } else if (typeof value === 'string' && ISO.test(value)) inside[one] = new Date(value);
  }
}

/** One that is not ours names none. */
function pathsOf(dates: string): readonly string[] {
  try {
    const paths: unknown = JSON.parse(dates);
    return Array.isArray(paths) ? paths.filter(path => typeof path === 'string') : [];
  } catch {
    return [];
  }
}

function escaped(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

function unescaped(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~');
}
