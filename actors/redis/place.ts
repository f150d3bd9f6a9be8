/** Where a url leads. */
import { fileURLToPath } from 'node:url';
import { dataPath } from '../../runtime/index.ts';
import { addressProblem, isServerUrl } from './server/address.ts';

export type Place =
  | { readonly kind: 'memory' }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'server' };

/** Null where the url is right. Says nothing of what a url holds beyond its scheme: a password may. */
export function urlProblem(url: string): string | null {
  if (isServerUrl(url)) return addressProblem(url);
  return placeIn(url) === null
    ? 'expected memory:, file:PATH, redis://HOST, redis+sentinel://HOST,HOST/MASTER or redis+cluster://HOST,HOST; rediss instead of redis for TLS'
    : null;
}

/** Of a url that has no problem. A path is in the data folder, unless it is absolute or begins with a dot. */
export function placeOf(url: string, dataDir: string): Place {
  const place = placeIn(url)!;
  return place.kind === 'file' ? { kind: 'file', path: dataPath(dataDir, place.path) } : place;
}

function placeIn(url: string): Place | null {
  if (isServerUrl(url)) return { kind: 'server' };
  if (url === 'memory:') return { kind: 'memory' };
  if (!url.startsWith('file:')) return null;
  try {
    const path = url.startsWith('file://') ? fileURLToPath(url) : url.slice('file:'.length);
    return path === '' || path.includes('\0') ? null : { kind: 'file', path };
  } catch {
    return null;
  }
}
