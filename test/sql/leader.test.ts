/** Who leads, over clocks that a test moves: leases that are renewed, lost, given back, asked for through a bad network. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Leader, type LeasePlace, type Term } from '../../actors/sql/changes/leader.ts';
import { type Environment, KeymillError } from '../../runtime/index.ts';
import { type VirtualEnvironment, virtualEnvironment } from '../support/virtual-clock.ts';

const LEASE = 1000;
const RENEW = 300;
const BOOKMARK = { consumer: 'c', table: 't', version: 1, epoch: 1 };

/** The lease as a database keeps it, by the database's clock. */
class Lease {
  readonly #clock: Environment['clock'];
  owner = '';
  token = 0;
  endsAt = 0;
  mark: string | null = null;
  /** Tokens of the writes that it took, and of those it refused. */
  readonly taken: number[] = [];
  readonly refused: number[] = [];

  constructor({ clock }: Environment) {
    this.#clock = clock;
  }

  take(owner: string, leaseMs: number) {
    const isMine = this.endsAt <= this.#clock.now() || this.owner === owner;
    if (isMine) {
      this.owner = owner;
      this.token++;
      this.endsAt = this.#clock.now() + leaseMs;
    }
    return { isMine, owner: this.owner, token: this.token, leftMs: this.endsAt - this.#clock.now(), mark: this.mark };
  }

  renew(token: number, leaseMs: number): boolean {
    if (token !== this.token) return false;
    this.endsAt = this.#clock.now() + leaseMs;
    return true;
  }

  release(token: number): void {
    if (token === this.token) this.endsAt = this.#clock.now();
  }

  keep(token: number, mark: string | undefined): void {
    if (token < this.token) {
      this.refused.push(token);
      throw new KeymillError('SQL_FENCED', `token ${token} was taken over by ${this.token}`);
    }
    this.taken.push(token);
    this.mark = mark ?? this.mark;
  }
}

interface Logged {
  readonly level: string;
  readonly text: string;
  readonly code?: unknown;
}

const WELL = () => ({ there: 0, back: 0, isLost: false });

/** One replica, with a clock of its own speed, that can be frozen, and a network that loses and delays what it is told to. */
class Replica {
  readonly leader: Leader;
  readonly log: Logged[] = [];
  readonly terms: Term[] = [];
  #isFrozen = false;
  #held: (() => void)[] = [];
  /** Of the next asks: how long each way takes, and whether it comes back. */
  network: () => { there: number; back: number; isLost: boolean };
  readonly stop = new AbortController();
  readonly finish = new AbortController();
  isOver = false;

  constructor(name: string, world: VirtualEnvironment, lease: Lease, speed = 1, network = WELL) {
    this.network = network;
    const later = (ms: number, fn: () => void) =>
      world.clock.after(ms, () => (this.#isFrozen ? void this.#held.push(fn) : fn()));
    const environment: Environment = {
      ...world,
      clock: {
        now: () => world.clock.now() * speed,
        wall: () => world.clock.wall(),
        after: (ms, fn) => {
          let isCancelled = false;
          const timer = later(ms / speed, () => isCancelled || fn());
          return {
            cancel() {
              isCancelled = true;
              timer.cancel();
            },
          };
        },
      },
    };
    const ask = <T>(act: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        const { there, back, isLost } = this.network();
        world.clock.after(there, () => {
          let end: () => void;
          try {
            const value = act();
            end = () => resolve(value);
          } catch (error) {
            end = () => reject(error);
          }
          later(back, isLost ? () => reject(new KeymillError('SQL_UNAVAILABLE', 'the connection is lost')) : end);
        });
      });
    const place: LeasePlace = {
      at: 'a test',
      take: (owner, leaseMs) => ask(() => lease.take(owner, leaseMs)),
      renew: (token, leaseMs) => ask(() => lease.renew(token, leaseMs)),
      release: token => ask(() => lease.release(token)),
      keep: (token, _bookmark, { mark }) => ask(() => lease.keep(token, mark)),
    };
    const say = (level: string) => (fields: Record<string, unknown>, text: string) =>
      void this.log.push({ level, text, code: fields['err'] });
    const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
    const saw = (): void => undefined;
    this.leader = new Leader({ place, environment, log, table: 't', owner: name, leaseMs: LEASE, renewMs: RENEW, saw });
    void this.#run();
  }

  async #run(): Promise<void> {
    while (!this.stop.signal.aborted) {
      const term = await this.leader.lead(this.stop.signal, this.finish.signal);
      if (!term) break;
      this.terms.push(term);
      await new Promise<void>(resolve => {
        term.signal.addEventListener('abort', () => resolve(), { once: true });
        if (term.signal.aborted) resolve();
      });
    }
    this.isOver = true;
  }

  get leads(): boolean {
    return !this.#isFrozen && this.leader.term !== null;
  }

  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  thaw(): void {
    this.#isFrozen = false;
    for (const fn of this.#held.splice(0)) fn();
  }

  says(text: string): number {
    return this.log.filter(one => one.text.includes(text)).length;
  }
}

function two(): { world: VirtualEnvironment; lease: Lease; a: Replica; b: Replica } {
  const world = virtualEnvironment();
  const lease = new Lease(world);
  return { world, lease, a: new Replica('a', world, lease), b: new Replica('b', world, lease) };
}

describe('a leader', () => {
  test('is one of two, stays it while it renews, and both say so once', async () => {
    const { world, a, b } = two();
    await world.advance(20 * LEASE);
    expect([a.leads, b.leads]).toEqual([true, false]);
    expect(a.terms).toHaveLength(1);
    expect([a.log.length, b.log.length]).toEqual([1, 1]);
    expect(b.says('stands by')).toBe(1);
  });

  test('that gives its lease back is followed within one look', async () => {
    const { world, a, b } = two();
    await world.advance(LEASE);
    a.stop.abort();
    void a.leader.close(Promise.resolve());
    await world.advance(RENEW + 50);
    expect([a.leads, b.leads]).toEqual([false, true]);
    expect(b.terms[0]!.token).toBeGreaterThan(a.terms[0]!.token);
  });

  test('that is frozen is followed when its lease ran out, and knows it when it is woken, before it writes', async () => {
    const { world, lease, a, b } = two();
    await world.advance(100);
    a.freeze();
    await world.advance(LEASE + RENEW);
    expect(b.leads).toBe(true);
    a.thaw();
    expect(a.leads).toBe(false);
    await a.leader.keep(BOOKMARK, { mark: 'late' });
    await world.advance(1);
    expect([lease.taken, lease.refused, lease.mark]).toEqual([[], [], null]);
    expect(a.says('does not lead any more')).toBe(1);
    await world.advance(5 * LEASE);
    expect([a.leads, b.leads]).toEqual([false, true]);
  });

  test('whose clock stood still with it writes nothing all the same: its token is refused, and it stands by', async () => {
    const world = virtualEnvironment();
    const lease = new Lease(world);
    const a = new Replica('a', world, lease, 1e-6);
    await world.advance(1);
    const b = new Replica('b', world, lease);
    await world.advance(2 * LEASE);
    expect([a.leads, b.leads]).toEqual([true, true]); // it cannot know better
    const late = a.leader.keep(BOOKMARK, { mark: 'late' });
    late.catch(() => undefined);
    await world.advance(1);
    await expect(late).rejects.toMatchObject({ code: 'SQL_FENCED' });
    expect([a.leads, lease.mark, lease.refused]).toEqual([false, null, [1]]);
  });

  test('that cannot reach the lease stops before it can have run out, and says so once', async () => {
    const { world, lease, a } = two();
    await world.advance(100);
    a.network = () => ({ there: 1e9, back: 0, isLost: false });
    while (a.leads) await world.advance(10);
    expect(world.clock.now()).toBeLessThan(lease.endsAt);
    expect(a.says('may have run out')).toBe(1);
  });

  test('does not begin on an answer that came later than the lease lasts', async () => {
    const world = virtualEnvironment();
    const a = new Replica('a', world, new Lease(world), 1, () => ({ there: 0, back: 2 * LEASE, isLost: false }));
    await world.advance(2 * LEASE - 10);
    a.network = WELL;
    expect(a.terms).toHaveLength(0);
    await world.advance(20);
    expect(a.terms).toHaveLength(0);
    await world.advance(4 * LEASE);
    expect(a.leads).toBe(true);
  });

  test('asked to finish one that stands by ends when another is alive, and not before it could have died', async () => {
    const { world, a, b } = two();
    b.finish.abort();
    await world.advance(LEASE);
    expect(b.isOver).toBe(false);
    await world.advance(LEASE);
    expect([a.leads, b.isOver]).toEqual([true, true]);
  });
});

test('of replicas in trouble no two lead at a time, each token is higher, and one leads when the trouble is over', async () => {
  const act = fc.record({
    who: fc.nat(2),
    what: fc.constantFrom('freeze', 'thaw', 'slow', 'lossy', 'well', 'keep', 'keep'),
    ms: fc.nat(1500),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 25 }), fc.nat(), async (acts, seed) => {
      const world = virtualEnvironment(seed);
      const lease = new Lease(world);
      // Clocks run apart by less than the margin.
      const replicas = [1, 0.96, 1.04].map((speed, i) => new Replica(`r${i}`, world, lease, speed));
      const watch = async (ms: number): Promise<void> => {
        for (let at = 0; at < ms; at += 25) {
          await world.advance(Math.min(25, ms - at));
          expect(replicas.filter(one => one.leads).length).toBeLessThanOrEqual(1);
        }
      };
      for (const { who, what, ms } of acts) {
        const replica = replicas[who]!;
        if (what === 'freeze') replica.freeze();
        if (what === 'thaw') replica.thaw();
        if (what === 'slow')
          replica.network = () => ({ there: 600 * world.random(), back: 600 * world.random(), isLost: false });
        if (what === 'lossy') replica.network = () => ({ there: 0, back: 5, isLost: world.random() < 0.5 });
        if (what === 'well') replica.network = WELL;
        if (what === 'keep') void replica.leader.keep(BOOKMARK, { mark: 'm' }).catch(() => undefined);
        await watch(ms);
      }
      for (const replica of replicas) {
        replica.network = () => ({ there: 1, back: 1, isLost: false });
        replica.thaw();
      }
      await watch(2 * LEASE + 2 * RENEW + 1200);
      expect(replicas.filter(one => one.leads)).toHaveLength(1);
      expect(lease.taken).toEqual(lease.taken.toSorted((x, y) => x - y));
      const tokens = replicas.flatMap(({ terms }) => terms.map(({ token }) => token));
      expect(new Set(tokens).size).toBe(tokens.length);
    }),
    { numRuns: 60 },
  );
});
