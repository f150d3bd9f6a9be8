/**
 * Runs in a child: a contestant that is another program, and speaks JSON lines. An ask is {"ask": number, "do": name, …} on its
 * stdin, its answer {"ask": same, "ok": …} or {"ask": same, "error": text} on its stdout. It measures itself.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Commands } from '../../lib/child.ts';

export interface LinesSetup {
  readonly command: string;
  readonly args: readonly string[];
}

type Reply = { readonly ask: number } & ({ readonly ok: unknown } | { readonly error: string });

export async function open({ command, args }: LinesSetup): Promise<Commands> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let asks = 0;
  child.stdin.on('error', () => {});
  createInterface(child.stdout).on('line', line => {
    const reply = JSON.parse(line) as Reply;
    const one = waiting.get(reply.ask);
    waiting.delete(reply.ask);
    if ('ok' in reply) one?.resolve(reply.ok);
    else one?.reject(new Error(reply.error));
  });
  let fault: Error | undefined;
  const ended = (error: Error): void => {
    fault ??= error;
    for (const { reject } of waiting.values()) reject(fault);
    waiting.clear();
  };
  child.on('error', ended);
  child.on('close', (code, signal) => ended(new Error(`the program ended with ${signal ?? code}`)));
  process.once('exit', () => child.kill('SIGKILL'));
  const ask = (name: string) => (input: object) => {
    if (fault) return Promise.reject(fault);
    const one = Promise.withResolvers<unknown>();
    waiting.set(++asks, one);
    child.stdin.write(`${JSON.stringify({ ask: asks, do: name, ...input })}\n`);
    return one.promise;
  };
  await ask('hello')({});
  return {
    publish: ask('publish'),
    consume: ask('consume'),
    paced: ask('paced'),
    async close() {
      if (fault) return;
      const closed = once(child, 'close');
      child.stdin.end();
      await closed;
    },
  };
}
