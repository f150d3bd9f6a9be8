/** A Redis: one process that keeps nothing on disk. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Exports } from './exports.ts';
import { expectFree, freePorts } from './ports.ts';
import { alive, ready, run, startServer } from './processes.ts';
import { type Place, reasonOf, type Service, type State, say } from './service.ts';

const READY_MS = 20_000;

export const redis: Service = {
  name: 'redis',

  async start(place: Place): Promise<Exports> {
    await installed();
    const ports = place.read()?.ports ?? (await freePorts(1));
    await expectFree(ports);
    const args = [
      '--bind',
      '127.0.0.1',
      '--port',
      String(ports[0]),
      '--dir',
      place.folder,
      '--save',
      '',
      '--appendonly',
      'no',
    ];
    const pid = startServer(place, 'redis-server', args);
    const state = { pid, ports };
    place.write(state);
    await ready(place, READY_MS, () => answers(ports[0]!));
    return exportsOf(state);
  },

  status: (place: Place): Exports | null => (alive(place) === null ? null : exportsOf(place.read()!)),
};

const exportsOf = ({ pid, ports }: State): Exports => ({
  REDIS: `redis://127.0.0.1:${ports[0]}`,
  REDIS_PID: String(pid),
});

async function installed(): Promise<void> {
  if (await found()) return;
  if (process.getuid?.() !== 0) throw new Error('no redis-server on the PATH, and only root can install it');
  say('redis: installing it with apt');
  // Runlevel 1: the package must not start a server of its own.
  const install = () =>
    run('env', [
      'RUNLEVEL=1',
      'DEBIAN_FRONTEND=noninteractive',
      'apt-get',
      'install',
      '-y',
      '--no-install-recommends',
      'redis-server',
    ]);
  try {
    await install();
  } catch {
    // The lists of a fresh container are empty.
    await run('apt-get', ['update']);
    await install();
  }
  if (!(await found())) throw new Error('apt installed no redis-server');
}

const found = (): Promise<boolean> =>
  run('redis-server', ['--version']).then(
    () => true,
    error => {
      if (!reasonOf(error).startsWith('no ')) throw error;
      return false;
    },
  );

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    socket.write('PING\r\n');
    const [reply] = (await once(socket, 'data')) as [Buffer];
    return reply.toString() === '+PONG\r\n';
  } finally {
    socket.destroy();
  }
}
