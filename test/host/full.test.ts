/** A full mailbox: what waits, what is dropped, what is parked, what is dead (E5; rules 7 and 11). */
import { describe, expect, it } from 'vitest';
import type { Claim, Parked, ParkStore } from '../../runtime/host/parking.ts';
import { REPLAYABLE } from '../../runtime/lanes/envelope.ts';
import type { ActorOptionsInput } from '../../runtime/topology/options.ts';
import { type OneHost, oneHost } from '../support/one-host.ts';

interface Message {
  key: string;
  n: number;
  pad?: string;
}

/** An actor whose keys are paused until the test resumes them, so that mailboxes fill. */
async function filling(
  options: ActorOptionsInput,
  more: { park?: ParkStore; runtime?: object } = {},
): Promise<{ on: OneHost; handled: number[] }> {
  const handled: number[] = [];
  const on = await oneHost({
    actors: {
      one: {
        key: (message: Message) => message.key,
        handle: (message: Message) => void handled.push(message.n),
        options,
      },
    },
    ...more,
  });
  on.key('one', 'a', 'pause');
  return { on, handled };
}

async function resumed(on: OneHost): Promise<void> {
  on.key('one', 'a', 'resume');
  await on.settle();
}

describe('Wait', () => {
  it('takes what is here already and has senders hold the key until it is half empty', async () => {
    const { on, handled } = await filling({ mailbox: { maxMessages: 4 } });
    for (let n = 0; n < 10; n++) {
      on.push('one', { key: 'a', n });
      await on.advance(1);
    }
    expect(on.stats('one').depth).toBe(5); // four and the one that found it full; the rest wait with the sender
    expect(on.probes).toContain('lane.key-held');
    on.push('one', { key: 'b', n: 100 });
    await on.settle();
    expect(handled).toEqual([100]);
    await resumed(on);
    expect(handled).toEqual([100, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(on.probes).toContain('lane.key-freed');
    expect(Object.values(on.stats('one').dropped).every(count => count === 0)).toBe(true);
  });

  it('goes by bytes as well as by count', async () => {
    const { on, handled } = await filling({ mailbox: { maxBytes: 2048 } });
    for (let n = 0; n < 6; n++) {
      on.push('one', { key: 'a', n, pad: 'x'.repeat(900) });
      await on.settle();
    }
    expect(on.stats('one').depth).toBe(3);
    await resumed(on);
    expect(handled).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('gives a key an eighth of the window at most, whatever its mailbox may hold', async () => {
    const { on } = await filling({ mailbox: { maxMessages: 10_000 } }, { runtime: { window: { messages: 80 } } });
    for (let n = 0; n < 40; n++) {
      on.push('one', { key: 'a', n });
      await on.advance(1);
    }
    expect(on.stats('one').depth).toBe(11);
    expect(on.stats('one').capacity).toBe(10);
  });
});

describe('a key that senders hold is free again', () => {
  const full = async () => {
    const { on, handled } = await filling({ mailbox: { maxMessages: 2 } });
    for (let n = 0; n < 3; n++) on.push('one', { key: 'a', n }, { deadlineMs: 100 });
    await on.settle();
    on.push('one', { key: 'a', n: 3 });
    await on.settle();
    expect(on.stats('one').depth).toBe(3);
    return { on, handled };
  };

  it('when all of its messages ran out of their deadlines', async () => {
    const { on, handled } = await full();
    await on.advance(200);
    await resumed(on);
    expect(handled).toEqual([3]);
    expect(on.outcomes).toEqual({ 0: 'dead', 1: 'dead', 2: 'dead', 3: 'done' });
  });

  it('when an operator skipped what it held', async () => {
    const { on, handled } = await full();
    for (let n = 0; n < 3; n++) on.key('one', 'a', 'skip');
    await on.settle();
    await resumed(on);
    expect(handled).toEqual([3]);
  });
});

describe('a drop mode', () => {
  const modes: [full: 'DropOldest' | 'DropNewest' | 'DropWrite', kept: number[], dropped: number[]][] = [
    ['DropOldest', [2, 3, 4], [0, 1]],
    ['DropNewest', [0, 1, 4], [2, 3]],
    ['DropWrite', [0, 1, 2], [3, 4]],
  ];

  it.each(modes)('%s keeps what it should, counts what it drops and says so', async (full, kept, dropped) => {
    const { on, handled } = await filling({ mailbox: { maxMessages: 3, full } });
    for (let n = 0; n < 5; n++) on.tell('one', { key: 'a', n });
    await on.settle();
    expect(on.settledInOrder).toEqual(dropped.map(n => [n, 'dropped']));
    expect(on.stats('one').dropped[full]).toBe(2);
    expect(on.stats('one').depth).toBe(3);
    await resumed(on);
    expect(handled).toEqual(kept);
    expect(on.letters).toEqual([]);
  });

  it.each(modes)('%s drops no message of a source: it waits instead', async full => {
    const { on, handled } = await filling({ mailbox: { maxMessages: 3, full } });
    for (let n = 0; n < 5; n++) on.push('one', { key: 'a', n }, { flags: REPLAYABLE });
    await on.settle();
    await resumed(on);
    expect(handled).toEqual([0, 1, 2, 3, 4]);
    expect(Object.values(on.outcomes)).toEqual(Array(5).fill('done'));
  });

  it.each(modes)('%s drops messages of sources too where loss is allowed', async (full, kept) => {
    const { on, handled } = await filling({ mailbox: { maxMessages: 3, full, allowLoss: true } });
    for (let n = 0; n < 5; n++) on.push('one', { key: 'a', n }, { flags: REPLAYABLE });
    await on.settle();
    await resumed(on);
    expect(handled).toEqual(kept);
  });

  it.each(modes)('%s never drops what was started', async full => {
    let calls = 0;
    const on = await oneHost({
      actors: {
        one: {
          key: () => 'a',
          handle: () => {
            if (calls++ === 0) throw new Error('first');
          },
          options: { mailbox: { maxMessages: 1, full }, retry: { delayMs: 1000, jitter: 0 } },
        },
      },
    });
    on.tell('one', null);
    await on.settle();
    on.tell('one', null);
    on.tell('one', null);
    await on.advance(1000);
    expect(on.outcomes).toEqual({ 0: 'done', 1: 'dropped', 2: 'dropped' });
  });

  it('rejects an ask that it drops', async () => {
    const { on } = await filling({ mailbox: { maxMessages: 1, full: 'DropOldest' } });
    const reply = on.ask('one', { key: 'a', n: 0 });
    await on.settle();
    on.tell('one', { key: 'a', n: 1 });
    await on.settle();
    await expect(reply).rejects.toMatchObject({ code: 'MAILBOX_FULL', place: { actor: 'one' } });
  });

  it('leaves a mailbox of one in the line where it stands, though the new message is less urgent', async () => {
    const handled: number[] = [];
    const on = await oneHost({
      actors: {
        one: {
          key: (message: Message) => message.key,
          handle: (message: Message) => void handled.push(message.n),
          options: { mailbox: { maxMessages: 1, full: 'DropOldest' }, priority: 3 },
        },
      },
    });
    on.tell('one', { key: 'a', n: 0 });
    on.tell('one', { key: 'a', n: 1 }, { priority: 6 });
    on.tell('one', { key: 'b', n: 2 });
    on.host.flush();
    on.onProbe = probe => {
      if (probe === 'batch.size') on.key('one', 'a', 'pause'); // takes it out of line
    };
    await on.settle();
    on.onProbe = null;
    await resumed(on);
    expect(handled.sort()).toEqual([1, 2]);
  });
});

describe('onKeyFull: dead', () => {
  it('sends what arrives to the dead letters, in order, and goes on when there is room', async () => {
    const { on, handled } = await filling({ mailbox: { maxMessages: 2 }, onKeyFull: 'dead', onDead: 'stop' });
    for (let n = 0; n < 5; n++) on.push('one', { key: 'a', n });
    await on.settle();
    expect(on.outcomes).toEqual({ 2: 'dead', 3: 'dead', 4: 'dead' });
    expect(on.letters.map(letter => [letter.id, letter.error.code, letter.attempts])).toEqual([
      ['src/0/2', 'KEY_FULL', 0],
      ['src/0/3', 'KEY_FULL', 0],
      ['src/0/4', 'KEY_FULL', 0],
    ]);
    await resumed(on);
    on.push('one', { key: 'a', n: 5 });
    await on.settle();
    expect(handled).toEqual([0, 1, 5]); // what onDead says is for messages that were handled
  });
});

/** A park in memory. */
class MemoryPark implements ParkStore {
  readonly rows: { seq: number; message: Parked }[] = [];
  down = false;
  #next = 1;

  async append(messages: readonly Parked[]): Promise<readonly number[]> {
    if (this.down) throw new Error('no room on the disk');
    return messages.map(message => {
      const known = this.rows.find(
        ({ message: it }) => it.source === message.source && it.position === message.position && it.key === message.key,
      );
      if (known) return -known.seq;
      this.rows.push({ seq: this.#next, message: structuredClone(message) });
      return this.#next++;
    });
  }

  async take(
    actor: string,
    key: Parked['key'],
    after: number,
    count: number,
  ): Promise<{ seq: number; message: Parked }[]> {
    return this.rows
      .filter(row => row.message.actor === actor && row.message.key === key && row.seq > after)
      .slice(0, count);
  }

  async forget(_actor: string, _key: Parked['key'], seq: number): Promise<void> {
    this.rows.splice(
      this.rows.findIndex(row => row.seq === seq),
      1,
    );
  }

  async keys(
    _claims: readonly Claim[],
  ): Promise<{ actor: string; key: Parked['key']; hash: number; count: number; last: number }[]> {
    const found = new Map<Parked['key'], Awaited<ReturnType<ParkStore['keys']>>[number]>();
    for (const { seq, message } of this.rows) {
      const { actor, key, hash } = message;
      const entry = found.get(message.key) ?? { actor, key, hash, count: 0, last: 0 };
      entry.count++;
      entry.last = seq;
      found.set(message.key, entry);
    }
    return [...found.values()];
  }
}

describe('onKeyFull: park', () => {
  const PARKING: ActorOptionsInput = { mailbox: { maxMessages: 4 }, onKeyFull: 'park' };

  it('acks what arrives once it stands in the store, handles all in order, and leaves nothing there', async () => {
    const park = new MemoryPark();
    const { on, handled } = await filling(PARKING, { park });
    for (let n = 0; n < 20; n++) {
      on.push('one', { key: 'a', n });
      await on.advance(1);
    }
    expect(Object.keys(on.outcomes).length).toBeGreaterThanOrEqual(16);
    expect(park.rows.length).toBeGreaterThanOrEqual(16);
    expect(on.stats('one').parked).toBe(16);
    expect(on.key('one', 'a', 'inspect')!.parked).toBeGreaterThan(0);
    on.push('one', { key: 'b', n: 100 });
    await on.settle();
    expect(handled).toEqual([100]);
    await resumed(on);
    expect(handled).toEqual([100, ...Array.from({ length: 20 }, (_, n) => n)]);
    expect(park.rows).toEqual([]);
    expect(on.outcomes).toEqual(Object.fromEntries(Array.from({ length: 21 }, (_, n) => [n, 'done'])));
  });

  it('takes back what was written though the answer to the write was lost', async () => {
    const park = new MemoryPark();
    const { on, handled } = await filling(PARKING, { park });
    for (let n = 0; n < 5; n++) on.push('one', { key: 'a', n });
    await on.settle();
    const append = park.append.bind(park);
    park.append = async messages => {
      park.append = append;
      await append(messages);
      throw new Error('the answer was lost');
    };
    on.push('one', { key: 'a', n: 5 });
    await on.settle();
    await on.advance(1000);
    await resumed(on);
    expect(handled).toEqual([0, 1, 2, 3, 4, 5]);
    expect(park.rows).toEqual([]);
  });

  it('keeps its order though more arrives while parked messages come back', async () => {
    const park = new MemoryPark();
    const { on, handled } = await filling(PARKING, { park });
    for (let n = 0; n < 10; n++) on.push('one', { key: 'a', n });
    await on.settle();
    on.key('one', 'a', 'resume');
    for (let n = 10; n < 30; n++) {
      on.push('one', { key: 'a', n });
      if (n % 3 === 0) await on.settle();
    }
    await on.settle();
    expect(handled).toEqual(Array.from({ length: 30 }, (_, n) => n));
    expect(park.rows).toEqual([]);
  });

  it('does not ack while the store refuses, and tries again', async () => {
    const park = new MemoryPark();
    park.down = true;
    const { on, handled } = await filling(PARKING, { park });
    for (let n = 0; n < 6; n++) on.push('one', { key: 'a', n });
    await on.advance(2500);
    expect(on.outcomes).toEqual({});
    park.down = false;
    await on.advance(1000);
    expect(Object.keys(on.outcomes).length).toBeGreaterThanOrEqual(2);
    await resumed(on);
    expect(handled).toEqual([0, 1, 2, 3, 4, 5]);
    expect(park.rows).toEqual([]);
  });

  it('takes up at the start what was parked before, ahead of what arrives', async () => {
    const park = new MemoryPark();
    const first = await filling(PARKING, { park });
    for (let n = 0; n < 12; n++) first.on.push('one', { key: 'a', n }, { position: n });
    await first.on.settle();
    expect(park.rows.length).toBeGreaterThan(0);
    // The first host is gone. Its source gives again what it was not told of.
    const handled: number[] = [];
    const on = await oneHost({
      park,
      actors: {
        one: {
          key: (message: Message) => message.key,
          handle: (message: Message) => void handled.push(message.n),
          options: PARKING,
        },
      },
    });
    for (let n = 0; n < 12; n++)
      if (first.on.outcomes[n] === undefined) on.push('one', { key: 'a', n }, { position: n });
    on.push('one', { key: 'a', n: 12 }, { position: 12 });
    await on.settle();
    expect(handled).toEqual(Array.from({ length: 13 }, (_, n) => n));
    expect(park.rows).toEqual([]);
  });

  it('refuses asks, which cannot be answered from the store', async () => {
    const { on } = await filling(PARKING, { park: new MemoryPark() });
    for (let n = 0; n < 5; n++) on.push('one', { key: 'a', n });
    await on.settle();
    const reply = on.ask('one', { key: 'a', n: 5 });
    await on.settle();
    await expect(reply).rejects.toMatchObject({ code: 'MAILBOX_FULL' });
    expect(on.stats('one').dropped.KeyFull).toBe(1);
  });
});
