/** The receiving end of a lane. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Intake } from '../../runtime/host/intake.ts';
import { KnownKeys } from '../../runtime/host/known-keys.ts';
import { NO_EXTRAS } from '../../runtime/lanes/envelope.ts';
import { FrameWriter } from '../../runtime/lanes/frame.ts';
import { KeyNumbers } from '../../runtime/lanes/key-numbers.ts';
import { BOUNCED, DEAD, DONE, DROPPED, type Returns } from '../../runtime/lanes/port.ts';
import { readReturns } from '../../runtime/lanes/returns.ts';
import type { Carried } from '../../runtime/lanes/text.ts';
import type { Item } from '../../runtime/mailbox/item.ts';
import { Mailbox } from '../../runtime/mailbox/mailbox.ts';
import type { Key } from '../../runtime/topology/define.ts';
import { type HandPort, handPorts } from '../support/hand-port.ts';
import { message } from '../support/messages.ts';
import { virtualEnvironment } from '../support/virtual-clock.ts';

interface Received {
  intake: Intake;
  port: HandPort;
  items: [item: Item, actor: number, homes: number][];
  /** What is known of the keys of the first actor. */
  known: KnownKeys;
  /** Of each item: its mailbox was found by a number. */
  found: boolean[];
  /** Keys that no mailbox takes. */
  refuses: Set<Key>;
  /** Whether the frames that came may wait. */
  frames: boolean[];
  dirty: number;
  returned(): Returns[];
}

function received(): Received {
  const [sender, into] = handPorts();
  const environment = virtualEnvironment();
  const seen: Received = {
    port: sender,
    items: [],
    known: new KnownKeys(),
    found: [],
    refuses: new Set(),
    frames: [],
    dirty: 0,
    returned: () => sender.inbox.splice(0).map(bytes => readReturns(bytes as Uint8Array)),
  } as unknown as Received;
  seen.intake = new Intake(2, 9, into, {
    now: () => environment.clock.now(),
    dirty: () => seen.dirty++,
    known: (_intake, actor) => (actor === 0 ? seen.known : null),
    accept(item, actor, homes, known) {
      seen.items.push([item, actor, homes]);
      if (known) expect([known.key, known.hash]).toEqual([item.key, item.hash]);
      seen.found.push(known !== undefined);
      return seen.refuses.has(item.key) ? undefined : (known ?? new Mailbox(actor, item.key, item.hash));
    },
    unpacked() {},
    arrived(intake, mayWait) {
      seen.frames.push(mayWait);
      intake.unpackNext();
    },
  });
  const post = sender.post.bind(sender);
  sender.post = bytes => {
    post(bytes);
    into.deliver();
  };
  return seen;
}

function frame(messages: ReturnType<typeof message>[], firstSeq = 1, sending = { slot: 2, incarnation: 9 }): Carried {
  const writer = new FrameWriter();
  messages.forEach((one, i) => {
    writer.add(one, firstSeq + i, Number.POSITIVE_INFINITY);
  });
  return writer.finish(sending, 4);
}

describe('an intake', () => {
  it('makes one item per message, with all that its envelope says', () => {
    const to = received();
    const extras = { ...NO_EXTRAS, priority: 2, deadline: 77, calls: 4, attempt: 3 };
    to.port.post(
      frame(
        [
          message({ actor: 1, key: 'a', body: { x: 1 }, source: 's', epoch: 3, position: 10, flags: 1 }),
          message({ actor: 1, key: 2n, body: 5, source: 's', epoch: 3, position: 12, flags: 9, extras }),
          message({ actor: 0, key: 7, body: null, source: 's', epoch: 3, position: 12, path: '0.1' }),
        ],
        41,
      ),
    );
    const [a, b, c] = to.items.map(([item]) => item) as [Item, Item, Item];
    expect(to.items.map(([item, actor, homes]) => [item.id, actor, homes, item.seq, item.key, item.flags])).toEqual([
      ['s/3/10', 1, 4, 41, 'a', 1],
      ['s/3/12', 1, 4, 42, 2n, 9],
      ['s/3/12.0.1', 0, 4, 43, 7, 0],
    ]);
    expect(a).toMatchObject({
      body: { x: 1 },
      origin: to.intake,
      attempts: 0,
      calls: 0,
      deadline: 0,
      isAsk: false,
      pending: 1,
    });
    expect(b).toMatchObject({ attempts: 3, calls: 4, deadline: 77, isAsk: true, extras });
    expect(c.hash).toBe(message({ key: 7 }).hash);
    expect(c.size).toBe(1);
    expect(to.frames).toEqual([false]);
  });

  it('drops the frames of an earlier incarnation of its sender', () => {
    const to = received();
    to.port.post(frame([message()], 1, { slot: 2, incarnation: 8 }));
    to.port.post(frame([message()], 1, { slot: 3, incarnation: 9 }));
    expect(to.items).toEqual([]);
  });

  it('says nothing more and takes nothing more when its sender died', () => {
    const to = received();
    to.intake.settle(1, DONE);
    to.intake.orphan();
    to.intake.settle(2, DONE);
    to.intake.reply(2, true, 1);
    to.intake.hold(0, 'k');
    to.intake.free(0, 'k');
    to.intake.flush();
    to.port.post(frame([message()]));
    expect(to.returned()).toEqual([]);
    expect(to.items).toEqual([]);
    expect(to.dirty).toBe(1);
  });
});

describe('keys with numbers', () => {
  const numbered = (...pairs: [key: Key, number: number][]): Carried =>
    frame(pairs.map(([key, number], i) => message({ key, number, position: i })));
  const keysOf = (to: Received): Key[] => to.items.map(([item]) => item.key);

  it('are known from the message that names them on, in this frame and in later ones', () => {
    const to = received();
    to.port.post(numbered(['a', -1], [7, -2], ['a', 1], ['b', 0], ['a', 1]));
    to.port.post(numbered(['b', 0], [7, 2], [8n, -3], ['a', 1]));
    expect(keysOf(to)).toEqual(['a', 7, 'a', 'b', 'a', 'b', 7, 8n, 'a']);
    expect(to.found).toEqual([false, false, true, false, true, false, true, false, true]);
  });

  it('are read from the frame where they are not known: by a new incarnation, or after they were forgotten', () => {
    const to = received();
    to.port.post(numbered(['a', 1], ['b', 2], ['a', 1], ['c', -3], ['b', 2]));
    expect(keysOf(to)).toEqual(['a', 'b', 'a', 'c', 'b']);
    expect(to.found).toEqual([false, false, true, false, true]);
    to.known.clear();
    to.port.post(numbered(['c', 3], ['a', 1]));
    expect(keysOf(to).slice(5)).toEqual(['c', 'a']);
    expect(to.found.slice(5)).toEqual([false, false]);
  });

  it('are not known by messages that no mailbox took, nor for actors that are not here', () => {
    const to = received();
    to.refuses.add('a');
    to.port.post(numbered(['a', -1], ['a', 1], ['b', -2], ['b', 2]));
    to.port.post(frame([message({ actor: 1, key: 'b', number: 2 })]));
    expect(keysOf(to)).toEqual(['a', 'a', 'b', 'b', 'b']);
    expect(to.found).toEqual([false, false, false, true, false]);
  });

  it('are what was sent, whatever has numbers, is refused or is forgotten', () => {
    const key = fc.constantFrom<Key>('a', 'b', 1, '1', 1n, 'größe', 2 ** 40, -3);
    const act = fc.oneof(
      { weight: 4, arbitrary: fc.array(fc.tuple(key, fc.boolean()), { minLength: 1, maxLength: 9 }) },
      { weight: 1, arbitrary: fc.constant(null) },
    );
    fc.assert(
      fc.property(fc.array(act, { maxLength: 12 }), fc.uniqueArray(key, { maxLength: 2 }), (acts, refused) => {
        const to = received();
        to.refuses = new Set(refused);
        const numbers = new KeyNumbers();
        const sent: Key[] = [];
        for (const pairs of acts)
          if (pairs === null) to.known.clear();
          else {
            to.port.post(numbered(...pairs.map(([one, has]): [Key, number] => [one, has ? numbers.of(one) : 0])));
            sent.push(...pairs.map(([one]) => one));
          }
        expect(keysOf(to)).toEqual(sent);
      }),
      { numRuns: 300 },
    );
  });
});

describe('what an intake returns', () => {
  it('goes in one message at a flush, and only when there is something', () => {
    const to = received();
    to.intake.settle(1, DONE);
    to.intake.hold(3, 'k');
    to.intake.free(3, 9n);
    to.intake.reply(5, true, { a: [1n] });
    expect(to.dirty).toBe(1);
    to.intake.flush();
    const [returns, ...more] = to.returned();
    expect(more).toEqual([]);
    expect(returns).toMatchObject({
      runs: [1, 1, DONE],
      hold: [{ actor: 3, key: 'k' }],
      free: [{ actor: 3, key: 9n }],
    });
    expect(returns!.replies![0]!.value).toEqual({ a: [1n] });
    to.intake.settle(2, DEAD);
    to.intake.flush();
    expect(to.returned()).toEqual([{ runs: [2, 2, DEAD] }]);
    expect(to.dirty).toBe(2);
  });

  it('joins consecutive numbers of one outcome into runs', () => {
    const to = received();
    const outcomes = { 1: DONE, 2: DONE, 3: DROPPED, 4: DROPPED, 6: DROPPED, 7: BOUNCED, 8: DONE } as const;
    for (const seq of [8, 3, 1, 2, 7, 6, 4] as const) to.intake.settle(seq, outcomes[seq]);
    to.intake.flush();
    expect(to.returned()[0]!.runs).toEqual([1, 2, DONE, 3, 4, DROPPED, 6, 6, DROPPED, 7, 7, BOUNCED, 8, 8, DONE]);
  });

  it('counts beyond 32 bits', () => {
    const to = received();
    const far = 2 ** 50;
    to.intake.settle(far + 1, DONE);
    to.intake.settle(far, BOUNCED);
    to.intake.settle(far + 2, DONE);
    to.intake.flush();
    expect(to.returned()[0]!.runs).toEqual([far, far, BOUNCED, far + 1, far + 2, DONE]);
  });

  it('holds replies as they were when they were made', () => {
    const to = received();
    const changing = { n: 1 };
    const values = [1, -0.5, 'text', '', true, null, undefined, 12n, changing, { n: 2 }, new Map([[1, new Set([2])]])];
    values.forEach((value, i) => to.intake.reply(i + 1, true, value));
    changing.n = 7;
    to.intake.flush();
    values[8] = { n: 1 };
    expect(to.returned()[0]!.replies).toEqual(values.map((value, i) => ({ seq: i + 1, ok: true, value })));
  });

  it('is an error in place of a reply that cannot be carried', () => {
    const to = received();
    to.intake.reply(1, true, { f: () => 1 });
    to.intake.reply(2, false, new TypeError('no'));
    to.intake.flush();
    const [first, second] = to.returned()[0]!.replies!;
    expect([first!.ok, first!.value]).toMatchObject([
      false,
      { code: 'MESSAGE_NOT_CARRIABLE', cause: { message: expect.stringContaining('message.f is a function') } },
    ]);
    expect([second!.ok, second!.value]).toMatchObject([false, { name: 'TypeError', message: 'no' }]);
  });
});
