/** Clients that are not tedious: FreeTDS' programs and python-tds, from the machine or fetched once into the services' cache. */
import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { once } from '../../../scripts/services/downloads.ts';
import { run } from '../../../scripts/services/processes.ts';
import { Place, reasonOf } from '../../../scripts/services/service.ts';

const ROOT = resolve(
  process.env['KEYMILL_SERVICES_DIR'] ?? fileURLToPath(new URL('../../../.services', import.meta.url)),
);
const { cache } = new Place(ROOT, 'tds');
const PYTHON_TDS = '1.17.1';
/** For TLS. */
const PYOPENSSL = '26.4.0';
const DEBIAN = ['freetds-bin', 'libct4', 'libsybdb5'];

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface Said {
  readonly output: string;
  readonly code: number | null;
}

/** Runs it to its end with this as its input. */
export async function say({ command, args, env }: Program, input = ''): Promise<Said> {
  const child = spawn(command, args, { env: { ...process.env, LC_ALL: 'C.UTF-8', ...env } });
  child.stdin.end(input);
  const ended = new Promise<number | null>((resolve, reject) => child.once('close', resolve).once('error', reject));
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { output: out + err, code };
}

/** A peer, or null with the reason printed. */
export async function peer(name: 'freetds' | 'python-tds'): Promise<((program: string) => Program) | null> {
  try {
    return await (name === 'freetds' ? freetds() : pythonTds());
  } catch (error) {
    console.log(`skipped: no ${name}: ${reasonOf(error)}`);
    return null;
  }
}

/** By the name of the program: `tsql`, `bsqldb`. */
async function freetds(): Promise<(program: string) => Program> {
  const isHere = await run('tsql', ['-C']).then(
    () => true,
    () => false,
  );
  if (isHere) return command => ({ command, args: [], env: {} });
  const folder = await once(join(cache, 'freetds'), async to => {
    // Nothing of the machine is touched, and it need not be allowed.
    await run('sh', ['-c', `cd "$0" && apt-get download ${DEBIAN.join(' ')}`, to]);
    const packages = (await readdir(to)).filter(file => file.endsWith('.deb'));
    for (const file of packages) await run('dpkg', ['-x', join(to, file), to]);
  });
  const libraries = (await readdir(join(folder, 'usr', 'lib'))).map(name => join(folder, 'usr', 'lib', name)).join(':');
  return program => ({ command: join(folder, 'usr', 'bin', program), args: [], env: { LD_LIBRARY_PATH: libraries } });
}

/** By the path of a script. */
async function pythonTds(): Promise<(script: string) => Program> {
  const folder = await once(join(cache, `python-tds-${PYTHON_TDS}`), async to => {
    await run('python3', ['-m', 'venv', '--without-pip', to]);
    const pip = ['-m', 'pip', '--python', pythonOf(to), 'install', '-q', '--disable-pip-version-check'];
    await run('python3', [...pip, `python-tds==${PYTHON_TDS}`, `pyOpenSSL==${PYOPENSSL}`]);
    await run(pythonOf(to), ['-c', 'import pytds, OpenSSL']);
  });
  return script => ({ command: pythonOf(folder), args: [script], env: {} });
}

const pythonOf = (folder: string): string => join(folder, 'bin', 'python');
