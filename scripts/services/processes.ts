/** Child processes: short ones that are waited for, and servers that outlive the script. */
import { execFile, spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Place } from './service.ts';

const execute = promisify(execFile);

/** Runs it to its end and gives what it wrote. Throws with the last line it wrote when it fails or is not there. */
export async function run(command: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout, stderr } = await execute(command, args, { maxBuffer: 64 << 20 });
    return stdout + stderr;
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code: unknown; stdout?: string; stderr?: string };
    if (code === 'ENOENT') throw new Error(`no ${command} on the PATH`);
    const said = `${stdout}\n${stderr}`.split('\n').filter(line => line.trim() !== '');
    throw new Error(`${command} failed: ${said.find(line => /error/i.test(line)) ?? said.at(-1) ?? code}`);
  }
}

/** Starts a server in a session of its own, so that it ends neither with this process nor by Ctrl-C, and in the service's folder. */
export function startServer(place: Place, command: string, args: readonly string[]): number {
  const output = openSync(logOf(place), 'a');
  try {
    const child = spawn(command, args, { cwd: place.folder, detached: true, stdio: ['ignore', output, output] });
    child.on('error', () => {});
    child.unref();
    if (child.pid === undefined) throw new Error(`no ${command} on the PATH`);
    return child.pid;
  } finally {
    closeSync(output);
  }
}

/** The id of the service's process, if it lives. Ids are used again: where it can be seen, the folder it runs in must be the service's. */
export function alive(place: Place): number | null {
  const pid = place.read()?.pid;
  return pid !== undefined && lives(pid) && isIn(pid, place.folder) ? pid : null;
}

/** Ends it at once and waits until it is gone. Nothing that runs is nothing to do. */
export async function kill(pid: number): Promise<void> {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    return;
  }
  while (lives(pid)) await sleep(10);
}

/** Asks until the answer is yes. Throws when the process ended, or at the end of the time. */
export async function ready(place: Place, timeoutMs: number, ask: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + timeoutMs; ; await sleep(100)) {
    const answer = await ask().catch(() => false);
    if (alive(place) === null) throw new Error(`it ended while it started; see ${logOf(place)}`);
    if (answer) return;
    if (Date.now() > end) throw new Error(`not ready after ${timeoutMs / 1000} s; see ${logOf(place)}`);
  }
}

const logOf = (place: Place): string => place.path('log');

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A process that ended and that nobody waited for still takes signals. While other threads of it end, it has its ports.
  const isOver = /\) Z /.test(seen(() => readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? '');
  return !isOver || (seen(() => readdirSync(`/proc/${pid}/task`))?.length ?? 0) > 1;
}

function isIn(pid: number, folder: string): boolean {
  const at = seen(() => readlinkSync(`/proc/${pid}/cwd`));
  return at === null || at === seen(() => realpathSync(folder));
}

/** Null where there is no /proc. */
function seen<T>(look: () => T): T | null {
  try {
    return look();
  } catch {
    return null;
  }
}
