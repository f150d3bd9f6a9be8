/** What an operator and the supervisor do to a host while it runs (D4, D7, D8; rules 9, 10, 19). */

import { describe, expect, it } from 'vitest';
import { ClassifiedError } from '../../runtime/errors.ts';
import { hashId, markOf, readLedger } from '../../runtime/host/ledger.ts';
import { REPLAYABLE } from '../../runtime/lanes/envelope.ts';
import { FrameWriter } from '../../runtime/lanes/frame.ts';
import { HELD } from '../../runtime/lanes/homes.ts';
import { hashKey } from '../../runtime/lanes/key-hash.ts';
import { BOUNCED, DONE } from '../../runtime/lanes/port.ts';
import { readReturns } from '../../runtime/lanes/returns.ts';
import type { BatchContext, Context } from '../../runtime/topology/define.ts';
import { type HandPort, handPorts } from '../support/hand-port.ts';
import { message } from '../support/messages.ts';
import { type OneHost, oneHost, SLOT } from '../support/one-host.ts';

interface Message {
  key: string;
  n: number;
}

/** A host whose actor notes what it handles; with `gates` each call waits until the test opens it. */
async function noting(
  options: Record<string, unknown> = {},
  gated = false,
  more: object = {},
): Promise<{ on: OneHost; handled: number[]; gates: PromiseWithResolvers<void>[] }> {
  const handled: number[] = [];
  const gates: PromiseWithResolvers<void>[] = [];
  const on = await oneHost({
    actors: {
      one: {
        key: (message: Message) => message.key,
        handle: (message: Message) => {
          handled.push(message.n);
          if (!gated) return;
          const gate = Promise.withResolvers<void>();
          gates.push(gate);
          return gate.promise;
        },
        options,
      },
    },
    ...more,
  });
  return { on, handled, gates };
}

/** Another thread that sends to this host, by hand. */
class Peer {
  readonly #on: OneHost;
  readonly #slot: number;
  #incarnation = 0;
  #seq = 1;
  port!: HandPort;
  #into!: HandPort;

  constructor(on: OneHost, slot: number) {
    this.#on = on;
    this.#slot = slot;
    this.connect();
  }

  connect(): void {
    const [out, into] = handPorts();
    this.port = out;
    this.#into = into;
    this.#seq = 1;
    this.#on.command({ type: 'lane-in', slot: this.#slot, incarnation: ++this.#incarnation, port: into });
  }

  send(ns: number[], key: string, flags = REPLAYABLE, homes = this.#on.homes.version): void {
    const writer = new FrameWriter();
    for (const n of ns)
      writer.add(
        message({ actor: 0, key, hash: hashKey(key), body: { key, n }, source: 'peer', position: n, flags }),
        this.#seq++,
        1e6,
      );
    this.port.post(writer.finish({ slot: this.#slot, incarnation: this.#incarnation }, homes));
    this.#into.deliver();
  }

  die(): void {
    this.#on.command({ type: 'peer-down', slot: this.#slot, incarnation: this.#incarnation });
  }

  /** Returns that came since the last look, as [first, last, code] and the rest. */
  returns(): { runs: number[][]; hold: unknown[]; free: unknown[] } {
    const all = this.port.inbox.splice(0).map(bytes => readReturns(bytes as Uint8Array));
    const runs: number[][] = [];
    for (const { runs: flat } of all) for (let i = 0; flat && i < flat.length; i += 3) runs.push(flat.slice(i, i + 3));
    return { runs, hold: all.flatMap(one => one.hold ?? []), free: all.flatMap(one => one.free ?? []) };
  }
}

describe('an operator', () => {
  it('pauses a key, before it was ever seen too, and resumes it', async () => {
    const { on, handled } = await noting();
    expect(on.key('one', 'a', 'pause')).toMatchObject({ key: 'a', paused: true, depth: 0 });
    for (const n of [1, 2]) on.push('one', { key: 'a', n });
    on.push('one', { key: 'b', n: 3 });
    await on.advance(1000);
    expect(handled).toEqual([3]);
    expect(on.key('one', 'a', 'inspect')).toMatchObject({
      paused: true,
      depth: 2,
      oldestMs: 1000,
      head: 'src/0/0',
      standing: 'waiting',
    });
    on.key('one', 'a', 'resume');
    await on.settle();
    expect(handled).toEqual([3, 1, 2]);
  });

  it('pauses a key at work: what runs ends, what follows waits', async () => {
    const { on, handled, gates } = await noting({}, true);
    on.push('one', { key: 'a', n: 1 });
    await on.settle();
    on.key('one', 'a', 'pause');
    on.push('one', { key: 'a', n: 2 });
    gates[0]!.resolve();
    await on.advance(1000);
    expect(handled).toEqual([1]);
    expect(on.outcomes).toEqual({ 0: 'done' });
  });

  it('skips the message at the front: it becomes a dead letter and the next has its turn', async () => {
    let broken = true;
    const on = await oneHost({
      actors: {
        one: {
          key: () => 'a',
          handle: (n: number) => {
            if (broken && n === 0) throw new Error('stuck');
          },
          options: { retry: { attempts: 100, delayMs: 60_000, jitter: 0 } },
        },
      },
    });
    for (const n of [0, 1]) on.push('one', n);
    await on.settle();
    on.key('one', 'a', 'skip');
    broken = false;
    await on.settle();
    expect(on.outcomes).toEqual({ 0: 'dead', 1: 'done' });
    expect(on.letters).toMatchObject([{ id: 'src/0/0', error: { code: 'REPLAYED' }, history: [{ message: 'stuck' }] }]);
  });

  it('cannot skip what runs, nor what there is not', async () => {
    const { on, gates } = await noting({}, true);
    on.push('one', { key: 'a', n: 1 });
    await on.settle();
    expect(on.key('one', 'a', 'skip')).toMatchObject({ standing: 'running' });
    expect(on.key('one', 'never', 'skip')).toBeUndefined();
    expect(on.key('one', 'never', 'inspect')).toBeUndefined();
    gates[0]!.resolve();
    await on.settle();
    expect(on.letters).toEqual([]);
  });

  it('sees the ten deepest keys', async () => {
    const { on } = await noting();
    for (let k = 0; k < 15; k++) {
      on.key('one', `k${k}`, 'pause');
      for (let i = 0; i <= k; i++) on.push('one', { key: `k${k}`, n: i });
    }
    await on.advance(10);
    const { hotKeys, deepest, depth, oldestUnsettledMs } = on.stats('one');
    expect(hotKeys.map(hot => [hot.key, hot.depth])).toEqual(
      Array.from({ length: 10 }, (_, i) => [`k${14 - i}`, 15 - i]),
    );
    expect([deepest, depth, oldestUnsettledMs]).toEqual([15, 120, 10]);
  });
});

describe('an I/O actor that is well again', () => {
  it('ends the back-off of keys that may wait for it, and of no others', async () => {
    let isDown = true;
    const handled: string[] = [];
    const actor = (uses: string[]) => ({
      key: (message: Message) => message.key,
      handle: (message: Message) => {
        if (isDown) throw new ClassifiedError(message.n === 0 ? 'transient' : 'unknown', 'down');
        handled.push(message.key);
      },
      options: { uses, retry: { attempts: 3, delayMs: 10_000, jitter: 0 } },
    });
    const on = await oneHost({ actors: { needy: actor(['out']), free: actor([]) } });
    on.push('needy', { key: 'waits', n: 0 });
    on.push('needy', { key: 'is broken itself', n: 1 });
    on.push('free', { key: 'uses nothing', n: 0 });
    await on.settle();
    isDown = false;
    on.command({ type: 'io-well', io: 'io:out' });
    await on.settle();
    expect(handled).toEqual(['waits']);
    await on.advance(10_000);
    expect(handled.sort()).toEqual(['is broken itself', 'uses nothing', 'waits']);
  });
});

describe('when a sender dies', () => {
  it('what it will send again is dropped, what it cannot is kept, and others are not touched', async () => {
    const { on, handled } = await noting();
    const [dying, living] = [new Peer(on, 2), new Peer(on, 3)];
    on.key('one', 'a', 'pause');
    dying.send([1, 2], 'a');
    living.send([3], 'a');
    dying.send([4], 'a', 0);
    dying.die();
    expect(on.stats('one').depth).toBe(2);
    on.key('one', 'a', 'resume');
    await on.settle();
    expect(handled).toEqual([3, 4]);
    expect(living.returns().runs).toEqual([[1, 1, DONE]]);
  });

  it('what runs of it may finish, and is not retried here', async () => {
    let calls = 0;
    const gate = Promise.withResolvers<void>();
    const on = await oneHost({
      actors: {
        one: {
          key: () => 'a',
          handle: () => {
            calls++;
            return gate.promise;
          },
          options: { retry: { delayMs: 10 } },
        },
      },
    });
    const peer = new Peer(on, 2);
    peer.send([1], 'a');
    await on.settle();
    peer.die();
    gate.reject(new Error('no'));
    await on.advance(1000);
    expect(calls).toBe(1);
    expect(on.stats('one').depth).toBe(0);
    expect(on.letters).toEqual([]);
  });

  it('frees the senders that it made wait: a key emptied by its death is not held for ever', async () => {
    const { on } = await noting({ mailbox: { maxMessages: 2 } });
    const [dying, living] = [new Peer(on, 2), new Peer(on, 3)];
    on.key('one', 'a', 'pause');
    dying.send([1, 2, 3], 'a');
    living.send([4], 'a');
    await on.settle();
    expect(living.returns().hold).toEqual([{ actor: 0, key: 'a' }]);
    dying.die();
    await on.settle();
    expect(living.returns().free).toEqual([{ actor: 0, key: 'a' }]);
  });

  it('admits the frames of its next incarnation only', async () => {
    const { on, handled } = await noting();
    const peer = new Peer(on, 2);
    peer.die();
    peer.send([1], 'a');
    peer.connect();
    peer.send([2], 'a');
    await on.settle();
    expect(handled).toEqual([2]);
    expect(peer.returns().runs).toEqual([[1, 1, DONE]]);
  });
});

describe('a partition that leaves', () => {
  const partitionOf = (on: OneHost, key: string) => hashKey(key) & on.homes.mask;

  it('bounces what is queued, ends what runs, gives its state to onPassivate, and says so', async () => {
    const left: unknown[] = [];
    const handled: number[] = [];
    const gate = Promise.withResolvers<void>();
    const on = await oneHost({
      actors: {
        one: {
          key: (message: Message) => message.key,
          state: key => ({ key }),
          handle: (message: Message, ctx: Context) => {
            expect(ctx.state).toBeDefined();
            handled.push(message.n);
            return gate.promise;
          },
          onPassivate: state => void left.push(state),
        },
      },
    });
    const peer = new Peer(on, 2);
    peer.send([1, 2, 3], 'a');
    await on.settle();
    on.homes.assign(partitionOf(on, 'a'), HELD);
    on.command({ type: 'release', partition: partitionOf(on, 'a') });
    await on.settle();
    expect(on.report('released')).toEqual([]);
    gate.resolve();
    await on.settle();
    expect(on.report('released')).toEqual([{ type: 'released', partition: partitionOf(on, 'a') }]);
    const runs = peer.returns().runs;
    const bounced = runs.filter(([, , code]) => code === BOUNCED);
    expect(
      runs
        .filter(([, , code]) => code === DONE)
        .concat(bounced)
        .reduce((sum, [first, last]) => sum + last! - first! + 1, 0),
    ).toBe(3);
    expect(handled.length + bounced.reduce((sum, [first, last]) => sum + last! - first! + 1, 0)).toBe(3);
    expect(left).toEqual([{ key: 'a' }]);
    expect(on.stats('one')).toMatchObject({ residentKeys: 0, depth: 0, depthBytes: 0 });
  });

  it('is sent on from here where its sender died and cannot give it again', async () => {
    const { on, handled } = await noting();
    const dying = new Peer(on, 2);
    on.key('one', 'a', 'pause');
    dying.send([1, 2], 'a', 0);
    dying.die();
    on.homes.assign(partitionOf(on, 'a'), HELD);
    on.command({ type: 'release', partition: partitionOf(on, 'a') });
    await on.settle();
    expect(on.report('released')).toHaveLength(1);
    expect([handled, on.stats('one').depth]).toEqual([[], 0]);
    on.homes.assign(partitionOf(on, 'a'), SLOT); // the new home is this host again
    on.command({ type: 'homes-changed' });
    await on.settle();
    expect(handled).toEqual([1, 2]);
  });

  it('stays until the dead letters of what it refused are written', async () => {
    const { on } = await noting({ mailbox: { maxMessages: 1 }, onKeyFull: 'dead' });
    on.lettersDown = new Error('no');
    const peer = new Peer(on, 2);
    on.key('one', 'a', 'pause');
    peer.send([1, 2], 'a');
    await on.settle();
    on.homes.assign(partitionOf(on, 'a'), HELD);
    on.command({ type: 'release', partition: partitionOf(on, 'a') });
    await on.settle();
    expect(on.report('released')).toEqual([]);
    on.lettersDown = null;
    await on.advance(60_000);
    expect(on.report('released')).toHaveLength(1);
    expect(on.letters).toMatchObject([{ error: { code: 'KEY_FULL' } }]);
  });

  it('bounces what comes for it afterwards, and what was sent by an older table', async () => {
    const { on, handled } = await noting();
    const peer = new Peer(on, 2);
    const before = on.homes.version;
    on.homes.assign(partitionOf(on, 'a'), 9);
    peer.send([1], 'a', REPLAYABLE, before);
    on.homes.assign(partitionOf(on, 'a'), SLOT);
    peer.send([2], 'a', REPLAYABLE, before);
    peer.send([3], 'a');
    await on.settle();
    expect(handled).toEqual([3]);
    expect(peer.returns().runs).toEqual([
      [1, 1, BOUNCED],
      [2, 2, BOUNCED],
      [3, 3, DONE],
    ]);
  });

  it('frees the senders that hold its keys: its new home knows nothing of that', async () => {
    const { on } = await noting({ mailbox: { maxMessages: 2 } });
    const peer = new Peer(on, 2);
    on.key('one', 'a', 'pause');
    peer.send([1, 2, 3], 'a');
    await on.settle();
    expect(peer.returns().hold).toHaveLength(1);
    on.homes.assign(partitionOf(on, 'a'), HELD);
    on.command({ type: 'release', partition: partitionOf(on, 'a') });
    await on.settle();
    expect(peer.returns()).toMatchObject({ free: [{ actor: 0, key: 'a' }], runs: [[1, 3, BOUNCED]] });
  });

  it('leaves its timers behind', async () => {
    let fired = 0;
    const on = await oneHost({
      actors: {
        one: {
          key: (message: Message) => message.key,
          handle: (_message: Message, ctx: Context) => ctx.timer('t', 100),
          onTimer: () => void fired++,
        },
      },
    });
    new Peer(on, 2).send([1], 'a');
    await on.settle();
    on.command({ type: 'release', partition: partitionOf(on, 'a') });
    await on.advance(1000);
    expect(fired).toBe(0);
    expect(on.stats('one').depth).toBe(0);
  });
});

describe('after the death of a host', () => {
  it('suspects run alone, one by one, and only asks pass meanwhile', async () => {
    const log: string[] = [];
    const on = await oneHost({
      suspects: [{ actor: 0, hash: hashKey('a'), count: 2, mark: null }],
      actors: {
        one: {
          key: (message: Message) => message.key,
          handle: async (message: Message, ctx: Context) => {
            log.push(`+${message.n} ${(ctx as unknown as BatchContext).trigger}`);
            if (message.n === 1) await ctx.ask('helper', 1);
            await new Promise<void>(resolve => on.environment.clock.after(10, resolve));
            log.push(`-${message.n}`);
          },
        },
        helper: { key: () => 'h', handle: () => void log.push('helper') },
      },
    });
    for (const n of [1, 2, 3]) on.push('one', { key: 'a', n });
    for (const n of [10, 11]) on.push('one', { key: `b${n}`, n });
    await on.advance(1000);
    const at = (entry: string) => log.findIndex(one => one.startsWith(entry));
    expect(log.slice(0, 5)).toEqual(['+1 solo', 'helper', '-1', '+2 solo', '-2']);
    expect(at('+3')).toBeGreaterThan(at('-2'));
    expect(log).toContain('+3 size');
    expect(Object.keys(on.outcomes)).toHaveLength(5);
    expect(on.host.plan.gauges[1]).toBe(0);
  });

  it.each([
    ['that is suspected too', [{ actor: 0, hash: hashKey('a'), count: 1, mark: null }]],
    ['that nobody suspects any more', []],
  ])('a quarantined message %s goes to the dead letters unhandled', async (_what, suspects) => {
    const { on, handled } = await noting({}, false, {
      suspects,
      quarantined: [
        { actor: 0, hash: hashKey('a'), idHash: hashId('src/0/0') },
        { actor: 0, hash: hashKey('b'), idHash: hashId('src/0/1') },
      ],
    });
    for (const n of [1, 2]) on.push('one', { key: 'a', n });
    await on.settle();
    expect(handled).toEqual([2]);
    expect(on.outcomes).toEqual({ 0: 'dead', 1: 'done' });
    expect(on.letters).toMatchObject([{ id: 'src/0/0', error: { code: 'HOST_KILLED' } }]);
  });

  it('the marked item runs alone, those before it as usual', async () => {
    const solo: number[] = [];
    const on = await oneHost({
      suspects: [{ actor: 0, hash: hashKey('a'), count: 1, mark: markOf({ position: 2, path: '' }) }],
      actors: {
        one: {
          key: (message: Message) => message.key,
          handle: (message: Message, ctx: Context) =>
            void ((ctx as unknown as BatchContext).trigger === 'solo' && solo.push(message.n)),
        },
      },
    });
    for (const n of [0, 1, 2, 3]) on.push('one', { key: 'a', n }, { position: n });
    await on.settle();
    expect(solo).toEqual([2]);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'done', 2: 'done', 3: 'done' });
  });

  it('the ledger shows which handlers were at work, and no other', async () => {
    const { on, gates } = await noting({}, true);
    on.push('one', { key: 'a', n: 1 });
    on.push('one', { key: 'b', n: 2 });
    await on.settle();
    const [first, second] = readLedger(on.host.plan.ledger);
    expect([first!.hash, second!.hash].sort()).toEqual([hashKey('a'), hashKey('b')].sort());
    expect(first).toMatchObject({ actor: 0, count: 1, alone: false });
    for (const gate of gates) gate.resolve();
    await on.settle();
    expect(readLedger(on.host.plan.ledger)).toEqual([]);
  });
});

describe('a drain', () => {
  it('sends what waits for its flush time at once, and stops doing so when it is called off', async () => {
    const seen: number[] = [];
    const on = await oneHost({
      actors: {
        one: {
          key: () => 'k',
          handleBatch: (batch: readonly number[]) => void seen.push(batch.length),
          options: { batch: { flushMs: 60_000 } },
        },
      },
    });
    on.push('one', 1);
    await on.settle();
    on.command({ type: 'drain', draining: true });
    await on.settle();
    expect(seen).toEqual([1]);
    on.command({ type: 'drain', draining: false });
    on.push('one', 2);
    await on.settle();
    expect(seen).toEqual([1]);
  });
});
