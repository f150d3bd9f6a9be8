/** Where the files of embedded parts lie. */
import { resolve } from 'node:path';

/** In the data folder; where the path begins with a dot (`./`, `../`), in the working directory. An absolute path is itself. */
export function dataPath(dataDir: string, path: string): string {
  return path.startsWith('.') ? resolve(path) : resolve(dataDir, path);
}
