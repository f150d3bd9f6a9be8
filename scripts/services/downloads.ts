/** What a broker and its Python client need, fetched once by Maven and pip. */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './processes.ts';
import { say } from './service.ts';

const POM = fileURLToPath(new URL('./pulsar/pom.xml', import.meta.url));
const SETTINGS = fileURLToPath(new URL('./pulsar/settings.xml', import.meta.url));
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';
/** Versions are part of the folders' names, so that another version is another folder. */
export const BROKER = 'pulsar-broker-4.0.7-bookkeeper-4.17.3';
const CLIENT = '3.13.0';

/** The folder of the broker's jars, 235 MB. */
export async function brokerJars(cache: string): Promise<string> {
  return once(join(cache, BROKER), async folder => {
    say('pulsar: fetching the broker (235 MB, once)');
    // Global settings, so that the user's own settings, with a mirror perhaps, hold too.
    await run('mvn', [
      '-B',
      '-q',
      '-gs',
      SETTINGS,
      '-f',
      POM,
      COPY,
      '-DincludeScope=runtime',
      `-DoutputDirectory=${folder}`,
    ]);
  });
}

/** The official client for Python and an environment to run it in, 24 MB. */
export async function fetchClient(cache: string): Promise<void> {
  await once(clientFolder(cache), async folder => {
    say('pulsar: fetching the Python client (once)');
    // Neither is the machine's Python touched, nor does the environment need a pip of its own.
    await run('python3', ['-m', 'venv', '--without-pip', folder]);
    const pip = ['-m', 'pip', '--python', python(folder), 'install', '-q', '--disable-pip-version-check'];
    await run('python3', [...pip, `pulsar-client==${CLIENT}`]);
    await run(python(folder), ['-c', 'import pulsar']);
  });
}

/** Path of a Python that can import the client; null where it could not be fetched. */
export function clientOf(cache: string): string | null {
  const folder = clientFolder(cache);
  return existsSync(folder) ? python(folder) : null;
}

const clientFolder = (cache: string): string => join(cache, `pulsar-client-${CLIENT}`);
const python = (folder: string): string => join(folder, 'bin', 'python');

/** A folder that is there is whole. */
export async function once(folder: string, fill: (folder: string) => Promise<void>): Promise<string> {
  if (existsSync(folder)) return folder;
  const part = `${folder}.part`;
  await rm(part, { recursive: true, force: true });
  await mkdir(part, { recursive: true });
  await fill(part);
  await rename(part, folder);
  return folder;
}
