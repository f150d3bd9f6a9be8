/** What a seed's actors are like and what they are given: made before anything runs, so that a replay is exact. */
import type { ErrorClass } from '../../runtime/errors.ts';
import type { ActorOptionsInput } from '../../runtime/topology/options.ts';
import type { Message } from './message.ts';
import { type Weather, weatherOf } from './weather.ts';

export const ATTEMPTS = 3;
export const ACTORS = ['alpha', 'beta', 'gamma', 'across'] as const;
const DEEP_MESSAGES = 1400;
/** Share of actors whose states are durable. */
const DURABLE = 0.3;
/** The I/O actor that keeps them. */
export const STATES = 'states';

export interface ScriptedSource {
  name: string;
  messages: Message[];
  replayable: boolean;
  contiguous: boolean;
  window: number;
  maxAckGap: number;
  /** Records of one read. */
  chunk: number;
  /** How far it was read, and acked. */
  cursor: number;
  acked: number;
}

export class Script {
  readonly weather: Weather;
  /** Stopped in the middle of it all, with this much grace; undefined: when all is settled. */
  readonly stopAfter: number | undefined;
  readonly options: Record<string, ActorOptionsInput>;
  readonly sources: ScriptedSource[] = [];
  readonly tells: Message[] = [];
  readonly asks: Message[] = [];
  readonly hosts: number;
  readonly quarantineAfter: number;
  readonly window: number;
  readonly quantum: number;
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
    this.weather = weatherOf(random);
    this.options = {
      alpha: this.#actorOptions(),
      beta: this.#actorOptions(),
      gamma: this.#actorOptions(),
      across: { ...this.#actorOptions(), onDead: 'skip', onKeyFull: 'stall' },
    };
    this.options['across']!.batch = { ...this.options['across']!.batch, across: 'keys' };
    // An actor that a death stopped stays so: such a life has no other end.
    const mayStop = Object.values(this.options).some(({ onDead }) => onDead === 'stop');
    this.stopAfter = this.weather.stopAfter ?? (mayStop ? 300 : undefined);
    this.hosts = 1 + this.pick(3);
    this.quarantineAfter = 1 + this.pick(3);
    this.window = this.weather.deep ? 40_000 : 8 + this.pick(64);
    this.quantum = 1 + this.pick(8);
    if (this.weather.deep) this.#deep();
    else this.#mixed();
    // Last, so that a seed's messages are the same with and without.
    for (const actor of ['alpha', 'gamma'])
      if (this.#random() < DURABLE) this.options[actor]!.persist = { in: STATES, restore: this.one(['lazy', 'eager']) };
  }

  pick(below: number): number {
    return Math.floor(this.#random() * below);
  }

  one<T>(choices: readonly T[]): T {
    return choices[this.pick(choices.length)]!;
  }

  #actorOptions(): ActorOptionsInput {
    const full = this.#random() < 0.6 ? 'Wait' : this.one(['DropOldest', 'DropNewest', 'DropWrite'] as const);
    return {
      mailbox: { maxMessages: this.#random() < 0.5 ? 10_000 : 1 + this.pick(6), full },
      batch: {
        max: 1 + this.pick(12),
        flushMs: this.#random() < 0.5 ? 0 : this.pick(60),
        strategy: this.one(['eightyPercent', 'fixed', 'doubling'] as const),
      },
      retry: { attempts: ATTEMPTS, delayMs: 10, maxDelayMs: 50 },
      onKeyFull: this.#random() < 0.5 ? 'stall' : this.one(['park', 'dead'] as const),
      onDead: this.#random() < this.weather.strict ? this.one(['parkKey', 'parkKey', 'stop'] as const) : 'skip',
      concurrency: 1 + this.pick(6),
      timeoutMs: 100,
      zombieMs: 150,
      passivateMs: this.#random() < 0.3 ? 1000 : 300_000,
      maxResident: this.#random() < 0.3 ? 2 : 1000,
      priority: this.pick(8),
    };
  }

  #message(stream: string, n: number, actor: string, id: string, depth: number): Message {
    const { weather } = this;
    const fails: ErrorClass[] = [];
    if (this.#random() < weather.failing)
      for (let i = this.pick(4); i >= 0; i--)
        fails.push(this.one(['transient', 'throttled', 'unknown', 'poison', 'transient', 'unknown'] as const));
    if (weather.failing > 0 && this.#random() < 0.02) fails.push('fatal');
    const key = `${actor[0]}${this.pick(weather.keys)}`;
    const message: Message = {
      id,
      stream,
      n,
      actor,
      key,
      fails,
      sleep: this.#random() < 0.4 ? 0 : this.pick(weather.slowest),
      hang: this.#random() < weather.hanging ? this.one([-1, 180]) : 0,
      poison: this.#random() < weather.poison,
      children: [],
      ask: null,
      writes: actor === 'alpha' && this.#random() < weather.writing,
      value: null,
    };
    const targets = actor === 'alpha' ? ['beta', 'gamma', 'across'] : actor === 'beta' ? ['gamma', 'across'] : [];
    if (depth < 2 && targets.length > 0 && this.#random() < weather.children)
      for (let i = this.pick(3); i >= 0; i--) {
        const target = this.one(targets);
        // Children of one key to one key are ordered as their parents are.
        message.children.push(this.#message(`${stream}|${actor}/${key}`, n * 100 + i, target, `${id}.${i}`, depth + 1));
      }
    message.children.sort((a, b) => a.n - b.n);
    if (actor === 'alpha' && this.#random() < weather.asking)
      message.ask = { actor: 'gamma', key: `g${this.pick(weather.keys)}`, value: this.pick(1000) };
    return message;
  }

  #mixed(): void {
    const count = 1 + this.pick(2);
    for (let s = 0; s < count; s++) {
      const name = `source${s}`;
      const actor = this.one(['alpha', 'alpha', 'beta', 'across']);
      this.sources.push({
        name,
        messages: Array.from({ length: 10 + this.pick(30) }, (_, n) =>
          this.#message(name, n, actor, `${name}#${n}`, 0),
        ),
        replayable: this.#random() < 0.75,
        contiguous: this.#random() < 0.6,
        window: 8 + this.pick(40),
        maxAckGap: 16 + this.pick(60),
        chunk: 4,
        cursor: 0,
        acked: 0,
      });
    }
    for (let n = 0; n < 5 + this.pick(20); n++)
      this.tells.push(this.#message('tells', n, this.one(['alpha', 'beta', 'gamma']), `tell#${n}`, 0));
    for (let n = 0; n < this.pick(6); n++)
      this.asks.push({
        ...this.#message('asks', n, 'gamma', `ask#${n}`, 2),
        fails: [],
        poison: false,
        hang: 0,
        value: n,
      });
  }

  /** One key so deep that the 80 % rule of the depth decides. */
  #deep(): void {
    this.options['beta'] = {
      ...this.options['beta'],
      mailbox: { maxMessages: 10_000, full: 'Wait' },
      batch: { max: 5000, flushMs: 0, strategy: 'eightyPercent' },
    };
    const messages = Array.from({ length: DEEP_MESSAGES }, (_, n) => ({
      ...this.#message('source0', n, 'beta', `source0#${n}`, 2),
      sleep: n % 700 === 0 ? 60 : 0,
    }));
    this.sources.push({
      name: 'source0',
      messages,
      replayable: true,
      contiguous: true,
      window: 5000,
      maxAckGap: 5000,
      chunk: 250,
      cursor: 0,
      acked: 0,
    });
  }
}
