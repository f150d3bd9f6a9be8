/** One Redis process in a folder of its own: server, replica, sentinel or node of a cluster. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { expectFree, freePorts } from './ports.ts';
import { alive, kill, ready, startServer } from './processes.ts';
import { askRedis } from './redis-asking.ts';
import type { Place } from './service.ts';

const READY_MS = 20_000;

/** A line of its configuration. */
export type Directive = readonly [name: string, ...values: (string | number)[]];

export interface NodeOptions {
  /** That it listens on, the plain one first. */
  readonly ports: readonly number[];
  /** Later ones win. Used at its first start: what CONFIG REWRITE and sentinels make of them outlives a restart. */
  readonly directives: readonly Directive[];
  readonly isSentinel?: boolean;
}

/** For tests: nothing on the disk, and faults that can be asked for. */
const COMMON: readonly Directive[] = [
  ['bind', '127.0.0.1'],
  ['save', ''],
  ['appendonly', 'no'],
  ['enable-debug-command', 'local'],
  // A replica is there at once, and not after the 5 s that others would have to come with it.
  ['repl-diskless-sync-delay', 0],
];

const CONFIG = 'redis-config';
const DATA = ['appendonlydir', 'dump.rdb'];

/** The ports it had before, or new ones. */
export async function portsOf(place: Place, count: number): Promise<readonly number[]> {
  const before = place.read()?.ports;
  return before?.length === count ? before : freePorts(count);
}

/** Starts it, or finds it running. Resolves when it answers. */
export async function startNode(place: Place, { ports, directives, isSentinel = false }: NodeOptions): Promise<void> {
  if (alive(place) !== null) return;
  await expectFree(ports);
  const file = place.path(CONFIG);
  if (!existsSync(file)) {
    const given = [['port', ports[0]!], ['dir', place.folder], ...(isSentinel ? COMMON.slice(0, 1) : COMMON)];
    const lines = [...given, ...directives].map(([name, ...values]) => `${name} ${values.map(quoted).join(' ')}\n`);
    writeFileSync(file, lines.join(''), { mode: 0o600 });
  }
  const pid = startServer(place, 'redis-server', [file, ...(isSentinel ? ['--sentinel'] : [])]);
  place.write({ pid, ports });
  await ready(place, READY_MS, () =>
    askRedis(ports[0]!, 'PING').then(
      reply => reply === 'PONG',
      // One that wants a password is there.
      (error: Error) => error.message.startsWith('NOAUTH'),
    ),
  );
}

/** Ends it as a power cut would its process. */
export async function killNode(place: Place): Promise<void> {
  const pid = alive(place);
  if (pid !== null) await kill(pid);
}

/** What it had is not there at its next start. */
export function emptyNode(place: Place): void {
  for (const name of DATA) rmSync(place.path(name), { recursive: true, force: true });
}

/** Stops it where it stands, as a machine that hangs: connections stay, and nothing answers. */
export const pauseNode = (place: Place): void => signal(place, 'SIGSTOP');
export const resumeNode = (place: Place): void => signal(place, 'SIGCONT');

function signal(place: Place, name: 'SIGSTOP' | 'SIGCONT'): void {
  const pid = alive(place);
  if (pid !== null) process.kill(pid, name);
}

export const portOf = (place: Place): number => place.read()!.ports[0]!;

function quoted(value: string | number): string {
  return /^[\w.:/@~&*+|>-]+$/.test(String(value)) ? String(value) : JSON.stringify(value);
}
