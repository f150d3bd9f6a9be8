/** A port of two threads: what was said on it is heard, also by who closes it because the other end died. */
import { once } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { messagePort } from '../../runtime/lanes/message-port.ts';
import { type Carried, withBytes } from '../../runtime/lanes/text.ts';

const numbersIn = (carried: Carried): number[] => withBytes(carried, (bytes, length) => [...bytes.subarray(0, length)]);

it('is heard to the end by who closes it, and not after that', async () => {
  const { port1, port2 } = new MessageChannel();
  const [near, far] = [messagePort(port1), messagePort(port2)];
  const heard: number[][] = [];
  near.onMessage(carried => heard.push(numbersIn(carried)));
  far.post(Uint8Array.of(1));
  far.post(Uint8Array.of(2, 200));
  expect(heard).toEqual([]);
  near.close();
  expect(heard).toEqual([[1], [2, 200]]);
  far.post(Uint8Array.of(3));
  await once(port2, 'close');
  expect(heard).toHaveLength(2);
});

it('closes in good order where nobody listened', async () => {
  const { port1, port2 } = new MessageChannel();
  messagePort(port2).post(Uint8Array.of(1));
  messagePort(port1).close();
  await once(port2, 'close');
});
