/**
 * Bytes of a file or of stdin, in chunks of at most CHUNK_BYTES, only as fast as they are taken.
 *
 * Pipes, sockets and terminals are read as sockets, through epoll, and not by fs reads: an fs read of an idle pipe
 * cannot be cancelled and holds up the end of its thread until something arrives (measured on Node 26 with an idle
 * stdin: worker.terminate() returned when the next line came, 2.5 s later, against 3 ms). libuv never closes
 * descriptors 0 to 2 with a socket, so stdin stays what it is when reading stops.
 */
import { close, fstat, open, read } from 'node:fs';
import { Socket } from 'node:net';
import { isatty, ReadStream as TerminalStream } from 'node:tty';
import { promisify } from 'node:util';
import { STDIO } from './place.ts';

export const CHUNK_BYTES = 64 * 1024;

const STDIN = 0;

const openFile = promisify(open);
const closeFile = promisify(close);
const statFile = promisify(fstat);
const readFile = promisify(read);

/** `-` is stdin. Ends early, without an error, when `signal` is aborted. Throws what the system says. */
export async function* bytesOf(file: string, signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
  if (signal.aborted) return;
  const fd = file === STDIO ? STDIN : await openFile(file, 'r');
  let owned = fd !== STDIN;
  try {
    const kind = await statFile(fd);
    if (isatty(fd) || kind.isFIFO() || kind.isSocket()) {
      owned = false; // the socket closes it
      yield* streamOf(fd, signal);
    } else yield* blocksOf(fd, signal);
  } finally {
    if (owned) await closeFile(fd);
  }
}

async function* blocksOf(fd: number, signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
  while (!signal.aborted) {
    // A new one each time: readers hold on to what is left of a chunk until the next.
    const { bytesRead, buffer } = await readFile(fd, Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

async function* streamOf(fd: number, signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
  const stream = isatty(fd) ? new TerminalStream(fd) : new Socket({ fd, readable: true, writable: false });
  const stop = () => stream.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    stream.destroy();
  }
}
