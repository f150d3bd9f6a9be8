/** Where a url points: a bus in memory, one in a file, or a server. */
import { statSync } from 'node:fs';
import { extname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { asError, dataPath } from '../../runtime/index.ts';
import { serviceUrl } from './wire/address.ts';

export type Place =
  | { readonly kind: 'memory' }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'server'; readonly url: string };

const SERVER = /^pulsar(\+ssl)?:/;

/** The database in a folder. */
const NAME = 'bus.db';

/** What is wrong with a url; undefined for nothing. */
export function urlFault(url: string): string | undefined {
  try {
    placeOf(url, '/');
    return undefined;
  } catch (error) {
    return SERVER.test(url)
      ? asError(error).message
      : 'expected memory:, file:PATH, pulsar://HOST:PORT or pulsar+ssl://HOST:PORT';
  }
}

/** Throws a TypeError for any other url. A path is in the data folder, unless it is absolute or begins with a dot. */
export function placeOf(url: string, dataDir: string): Place {
  if (url === 'memory:') return { kind: 'memory' };
  if (SERVER.test(url)) {
    serviceUrl(url);
    return { kind: 'server', url };
  }
  if (!url.startsWith('file:')) throw new TypeError(`not a bus: ${url}`);
  const path = url.startsWith('file://') ? fileURLToPath(url) : url.slice('file:'.length);
  if (path === '' || path.includes('\0')) throw new TypeError(`not a path: ${url}`);
  return { kind: 'file', path: `${dataPath(dataDir, path)}${path.endsWith('/') ? sep : ''}` };
}

/** The file of the database. Looks at the disk to tell a file from a folder; what is not there is told by its name. */
export function fileOf(place: Exclude<Place, { kind: 'server' }>): string {
  if (place.kind === 'memory') return ':memory:';
  const { path } = place;
  const found = statSync(path, { throwIfNoEntry: false });
  const isFolder = found ? found.isDirectory() : path.endsWith('/') || path.endsWith(sep) || extname(path) === '';
  return isFolder ? join(path, NAME) : path;
}
