/** Where a url leads. */
import { fileURLToPath } from 'node:url';
import { dataPath } from '../../runtime/index.ts';

/** Servers, for which the driver is not there yet. */
const SERVERS = ['redis:', 'rediss:', 'redis+sentinel:', 'redis+cluster:'];

export type Place = { readonly kind: 'memory' } | { readonly kind: 'file'; readonly path: string };

/** Null where the url is one of an embedded store. Says nothing of what a url holds beyond its scheme: a password may. */
export function urlProblem(url: string): string | null {
  const server = SERVERS.find(scheme => url.startsWith(scheme));
  if (server !== undefined)
    return `the driver for ${server} comes with a later version of keymill; now there are memory: and file:PATH`;
  return placeIn(url) === null ? 'expected memory: or file:PATH' : null;
}

/** Of a url that has no problem. A path is in the data folder, unless it is absolute or begins with a dot. */
export function placeOf(url: string, dataDir: string): Place {
  const place = placeIn(url)!;
  return place.kind === 'file' ? { kind: 'file', path: dataPath(dataDir, place.path) } : place;
}

function placeIn(url: string): Place | null {
  if (url === 'memory:') return { kind: 'memory' };
  if (!url.startsWith('file:')) return null;
  try {
    const path = url.startsWith('file://') ? fileURLToPath(url) : url.slice('file:'.length);
    return path === '' || path.includes('\0') ? null : { kind: 'file', path };
  } catch {
    return null;
  }
}
