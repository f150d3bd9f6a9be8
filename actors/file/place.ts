/** Where a url points, and which paths inside it a client or a source may name. */
import { realpath, stat } from 'node:fs/promises';
import { basename, extname, isAbsolute, join, normalize, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KeymillError } from '../../runtime/index.ts';
import { FORMATS, type Format } from './contract.ts';

export const STDIO = '-';

export type Place =
  | { readonly kind: 'stdio'; readonly path: typeof STDIO }
  | { readonly kind: 'file' | 'folder'; readonly path: string };

/** The path in a url: `file:./a`, `file:///a`, `./a`, `-`. Throws a TypeError for anything else. */
export function pathOf(url: string): string {
  if (url.startsWith('file://')) return fileURLToPath(url);
  const path = url.startsWith('file:') ? url.slice('file:'.length) : url;
  if (path === '' || path.includes('\0') || /^[a-z][a-z0-9+.-]+:/i.test(path))
    throw new TypeError(`not a path: ${url}`);
  return path;
}

/** Looks at the disk only to tell a file from a folder; what is not there yet is told by its name. */
export async function placeOf(url: string): Promise<Place> {
  if (url === STDIO) return { kind: 'stdio', path: STDIO };
  const path = pathOf(url);
  const isFolder = await stat(path).then(
    found => found.isDirectory(),
    () => path.endsWith('/') || path.endsWith(sep) || extname(path) === '',
  );
  return { kind: isFolder ? 'folder' : 'file', path: notStdio(path) };
}

/**
 * The file that `path` names at this place. Throws OUTPUT_UNWRITABLE when it is absolute, leaves the folder, or is not
 * the one file that the url names.
 */
export function fileAt(place: Place, path: string): string {
  if (place.kind === 'stdio') return STDIO;
  const refuse = (why: string) => {
    throw new KeymillError('OUTPUT_UNWRITABLE', `${JSON.stringify(path)} ${why}`, { place: { at: place.path } });
  };
  if (place.kind === 'file') {
    if (path !== '' && normalize(path) !== basename(place.path)) refuse(`is not the one file here, ${place.path}`);
    return place.path;
  }
  if (path === '' || path.includes('\0')) refuse(`is not the name of a file in ${place.path}`);
  if (isAbsolute(path)) refuse(`is absolute; paths are relative to ${place.path}`);
  if (!isBelow(resolve(place.path), resolve(place.path, path))) refuse(`leaves the folder ${place.path}`);
  return notStdio(join(place.path, path));
}

/** Whether links lead `path`, which must exist, out of the folder. Throws what the system says. */
export async function leadsOut(place: Place, path: string): Promise<boolean> {
  if (place.kind !== 'folder') return false;
  const root = await realpath(place.path);
  const target = await realpath(path);
  return target !== root && !isBelow(root, target);
}

/** The format of a file: what the options say, else by its extension. */
export function formatOf(file: string, said: Format | undefined): Format {
  const extension = extname(file).slice(1).toLowerCase();
  return said ?? FORMATS.find(format => format === extension) ?? 'ndjson';
}

/** A file that is called `-`. */
function notStdio(path: string): string {
  return path === STDIO ? `./${path}` : path;
}

function isBelow(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
