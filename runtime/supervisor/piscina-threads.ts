/**
 * Threads from one Piscina pool: each runs one long-lived task, the thread of the topology. Piscina gives spawning,
 * resource limits and the end of the pool. `atomics: 'disabled'` because its default parks the event loop of a worker
 * that waits for work, and ours never asks for more.
 */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { asError } from '../errors.ts';
import type { Command, Report } from '../host/control.ts';
import { messagePort } from '../lanes/message-port.ts';
import type { Port } from '../lanes/port.ts';
import type { Boot, Death, ThreadHandle, Threads } from './threads.ts';

/** `.ts` in a checkout, `.js` in the package. */
const ENTRY = fileURLToPath(new URL(`../host/entry${extname(import.meta.url)}`, import.meta.url));

export class PiscinaThreads implements Threads {
  readonly #pool: Piscina;
  #closing = false;

  constructor(count: number, heapMb: number) {
    this.#pool = new Piscina({
      filename: ENTRY,
      minThreads: 0,
      // A replacement may start while the thread it replaces is still being taken down.
      maxThreads: count * 2,
      idleTimeout: 1000,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled',
      recordTiming: false,
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
      closeTimeout: 1000,
    });
    this.#pool.on('error', () => undefined); // each thread's end is told to its `died`
  }

  spawn(boot: Boot, report: (report: Report) => void, died: (death: Death) => void): ThreadHandle {
    const { port1, port2 } = new MessageChannel();
    const abort = new AbortController();
    let asked = false;
    let worker: Worker | undefined;
    let over = false;
    let taskError: unknown;
    const end = (exitCode: number | undefined): void => {
      if (over) return;
      over = true;
      port1.close();
      const error = taskError as NodeJS.ErrnoException | undefined;
      died({
        asked: asked || this.#closing,
        reason: asked
          ? 'killed'
          : error?.code === 'ERR_WORKER_OUT_OF_MEMORY'
            ? 'out of memory'
            : exitCode
              ? `exit ${exitCode}`
              : 'ended',
        ...(asked || error === undefined ? {} : { error }),
      });
    };
    port1.on('message', (message: Report) => {
      if (message.type === 'booted') {
        worker = this.#pool.threads.find(thread => thread.threadId === message.threadId);
        worker?.once('exit', code => end(code));
        worker?.on('error', error => {
          taskError = error;
        });
      }
      report(message);
    });
    this.#pool.run({ boot, port: port2 }, { transferList: [port2], signal: abort.signal }).then(
      () => {
        if (!worker) end(0);
      },
      (error: unknown) => {
        taskError ??= error;
        // Without its `booted` the worker cannot be watched: it never ran our code.
        if (!worker) {
          setImmediate(() => end(1));
          if (!asked && !this.#closing)
            report({ type: 'failed', error: { name: 'Error', message: asError(error).message } });
        }
      },
    );
    return {
      send: command => {
        if (over) return;
        port1.postMessage(command, 'port' in command ? [command.port as unknown as MessagePort] : []);
      },
      kill: () => {
        asked = true;
        // terminate() also stops a thread that loops; the abort tells the pool.
        void worker?.terminate();
        abort.abort();
      },
    };
  }

  channel(): [Port, Port] {
    const { port1, port2 } = new MessageChannel();
    return [port1 as unknown as Port, port2 as unknown as Port];
  }

  local(port: Port): Port {
    return messagePort(port as unknown as MessagePort);
  }

  async close(): Promise<void> {
    this.#closing = true;
    await this.#pool.destroy();
  }
}

/** Commands as they arrive hold bare MessagePorts. */
export function unwrapPort(command: Command): Command {
  return 'port' in command ? { ...command, port: messagePort(command.port as unknown as MessagePort) } : command;
}
