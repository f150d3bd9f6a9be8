/** Where a url points: a bus in memory, one in a file, or a server. */
import { statSync } from 'node:fs';
import { extname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dataPath } from '../../runtime/index.ts';

export type Place = { readonly kind: 'memory' } | { readonly kind: 'file'; readonly path: string };

/** The database in a folder. */
const NAME = 'bus.db';

/** What is wrong with a url; undefined for nothing. */
export function urlFault(url: string): string | undefined {
  if (/^pulsar(\+ssl)?:/.test(url))
    return 'the driver for pulsar: and pulsar+ssl: comes with a later version; use memory: or file:PATH';
  try {
    placeOf(url, '/');
    return undefined;
  } catch {
    return 'expected memory: or file:PATH';
  }
}

/** Throws a TypeError for any other url. A path is in the data folder, unless it is absolute or begins with a dot. */
export function placeOf(url: string, dataDir: string): Place {
  if (url === 'memory:') return { kind: 'memory' };
  if (!url.startsWith('file:')) throw new TypeError(`not a bus: ${url}`);
  const path = url.startsWith('file://') ? fileURLToPath(url) : url.slice('file:'.length);
  if (path === '' || path.includes('\0')) throw new TypeError(`not a path: ${url}`);
  return { kind: 'file', path: `${dataPath(dataDir, path)}${path.endsWith('/') ? sep : ''}` };
}

/** The file of the database. Looks at the disk to tell a file from a folder; what is not there is told by its name. */
export function fileOf(place: Place): string {
  if (place.kind === 'memory') return ':memory:';
  const { path } = place;
  const found = statSync(path, { throwIfNoEntry: false });
  const isFolder = found ? found.isDirectory() : path.endsWith('/') || path.endsWith(sep) || extname(path) === '';
  return isFolder ? join(path, NAME) : path;
}
