/** Loaded by piscina and tinypool. */
import { handleByMap, slotOfThread } from '../../lib/handle.ts';
import type { Message } from '../../lib/message.ts';

export default function handle(message: Message): number {
  return handleByMap(message);
}

export function handleAll(messages: readonly Message[]): number {
  for (const message of messages) handleByMap(message);
  return messages.length;
}

/** Of the memory case. */
export async function hold(message: Message): Promise<number> {
  await slotOfThread().waitAtGate(600_000);
  return handleByMap(message);
}
