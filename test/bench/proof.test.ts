/** A run that lacks anything does not count. */
import { describe, expect, it } from 'vitest';
import { Proof } from '../../bench/engine/proof.ts';
import { handle, handleByMap, newState } from '../../bench/lib/handle.ts';
import { type Message, Messages } from '../../bench/lib/message.ts';
import { Tally } from '../../bench/lib/tally.ts';

const tally = new Tally();
const load = { keys: 5, bytes: 0 };

/** A run of ten messages, of which `handler` handles what it likes. */
async function runOf(
  handler: (message: Message, i: number) => void,
  { acknowledged, ordered = true }: { acknowledged?: () => number; ordered?: boolean } = {},
) {
  const messages = new Messages(load);
  // Other tests had messages with these numbers: each keeps keys of its own.
  const proof = new Proof(tally, messages, {
    ordered,
    acknowledged: () => (acknowledged ? Promise.resolve(acknowledged()) : undefined),
  });
  return proof.of({}, async () => {
    for (let i = 0; i < 10; i++) handler(messages.make(0), i);
  });
}

describe('a run', () => {
  it('counts when all was handled', async () => {
    const states = new Map<string, ReturnType<typeof newState>>();
    const run = await runOf(message => {
      const state = states.get(message.key) ?? newState();
      states.set(message.key, state);
      expect(handle(message, state)).toBe(message.n);
    });
    expect(run.messages).toBe(10);
    expect(run.handled).toMatchObject({ count: 10, disorder: 0 });
    expect(run.ns).toBeGreaterThan(0);
  });

  it('does not when a message is missing', async () => {
    await expect(runOf((message, i) => i !== 3 && handle(message, newState()))).rejects.toThrow(
      '10 messages were sent and 9 handled',
    );
  });

  it('does not when one came twice and another not at all', async () => {
    let last: Message | undefined;
    const run = runOf((message, i) => {
      handle(i === 4 ? last! : message, newState());
      last = message;
    });
    await expect(run).rejects.toThrow('checksum');
  });

  it('does not when a message was changed on its way', async () => {
    await expect(
      runOf((message, i) => handle({ ...message, cents: i === 5 ? 0 : message.cents }, newState())),
    ).rejects.toThrow('checksum');
  });

  it('does not when messages of a key came in another order, where order was promised', async () => {
    const swapped = () => {
      const held: Message[] = [];
      return (message: Message, i: number): void => {
        held.push(message);
        if (i < 9) return;
        for (const one of held.reverse()) handleByMap(one);
      };
    };
    await expect(runOf(swapped())).rejects.toThrow('came after a later one');
    await expect(runOf(swapped(), { ordered: false })).resolves.toBeDefined();
  });

  it('does not when acknowledgements are missing', async () => {
    let settled = 0;
    const handled = (message: Message, i: number): void => {
      handle(message, newState());
      if (i !== 0) settled++;
    };
    await expect(runOf(handled, { acknowledged: () => settled })).rejects.toThrow(
      '10 messages were sent and 9 acknowledged',
    );
  });
});
