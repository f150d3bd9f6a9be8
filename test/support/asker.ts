/** Asks as the engine does: those of one key in order, all that came meanwhile as one batch, other keys beside them. */
import type { IoReply } from '../../runtime/io/contract.ts';

interface Asked {
  readonly op: unknown;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export function asker(
  batch: (ops: readonly unknown[]) => Promise<readonly IoReply[]>,
  keyOf: (op: unknown) => unknown,
): (op: unknown) => Promise<unknown> {
  const queues = new Map<unknown, Asked[]>();
  const drain = async (key: unknown, queue: Asked[]): Promise<void> => {
    while (queue.length > 0) {
      const asked = queue.splice(0);
      try {
        const replies = await batch(asked.map(({ op }) => op));
        for (const [i, reply] of replies.entries())
          if ('error' in reply) asked[i]!.reject(reply.error);
          else asked[i]!.resolve(structuredClone(reply.value));
      } catch (error) {
        for (const one of asked) one.reject(error);
      }
    }
    queues.delete(key);
  };
  return op =>
    new Promise((resolve, reject) => {
      const asked = { op: structuredClone(op), resolve, reject };
      const key = keyOf(op);
      const queue = queues.get(key);
      if (queue) {
        queue.push(asked);
        return;
      }
      const fresh = [asked];
      queues.set(key, fresh);
      queueMicrotask(() => void drain(key, fresh));
    });
}
