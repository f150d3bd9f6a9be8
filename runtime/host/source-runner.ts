/**
 * Runs one source: reads while its window has room, sends what it reads, and acknowledges only what settled. Engine
 * behaviour follows the traits of the source, never its kind.
 */
import type { DeadLetter } from '../delivery/dead-letter.ts';
import type { Environment } from '../environment.ts';
import { asError, classOf, isKeymillError, KeymillError, toWire } from '../errors.ts';
import { formatId, REPLAYABLE } from '../lanes/envelope.ts';
import { DEAD, type Outcome, type Owner } from '../lanes/port.ts';
import type { Sender } from '../lanes/sender.ts';
import type { SourceSnapshot } from '../observe/stats.ts';
import type { Log, Position, RecordMap, SourceHalf, SourceRecord } from '../topology/define.ts';
import type { SourceOptions } from '../topology/options.ts';
import type { Cell } from './cell.ts';
import { checkKey } from './context.ts';
import { PositionWindow } from './position-window.ts';
import { SharedKeys } from './shared-keys.ts';
import { SourceCounts } from './source-counts.ts';

export interface SourceSpec {
  readonly name: string;
  readonly half: SourceHalf;
  readonly map: RecordMap | null;
  readonly targets: readonly Pick<Cell, 'index' | 'name' | 'definition'>[];
  readonly options: SourceOptions;
  /** Everything below settled in an earlier life of this source. */
  readonly from: Position;
  /** What the checkpoint that `from` is of says of the input, and its path; null without one. */
  readonly mark: { readonly of: unknown; readonly path: string } | null;
}

export interface SourceNeeds {
  readonly environment: Environment;
  readonly sender: Sender;
  readonly log: Log;
  /** SOURCE_WORDS words: what this source gives and how that settles is counted here. */
  readonly counts: Float64Array;
  bury(letter: DeadLetter, written: () => void): void;
  /** The position below which everything settled grew. */
  settledBelow(low: Position): void;
  ended(given: number): void;
  /** Ended, and everything it gave is settled and acknowledged. */
  finished(): void;
  failed(error: Error): void;
}

export class SourceRunner implements Owner {
  readonly #spec: SourceSpec;
  readonly #needs: SourceNeeds;
  readonly #window: PositionWindow;
  /** What cannot be given again under the same position is new at each start, though its position may not be. */
  readonly #epoch: number;
  readonly #stop = new AbortController();
  readonly #counts: SourceCounts;
  readonly #sharedKeys: SharedKeys;
  #ended = false;
  #finished = false;
  #waiting: string | undefined;
  #wake: (() => void) | null = null;
  #pausedFor: string | undefined;
  #settledPositions: Position[] = [];
  #ackScheduled = false;
  #acking: Promise<void> = Promise.resolve();
  #lastLow: Position;
  #recognised = false;

  constructor(spec: SourceSpec, needs: SourceNeeds) {
    this.#spec = spec;
    this.#needs = needs;
    this.#window = new PositionWindow(spec.from);
    const { replayable, stable = true } = spec.half.traits;
    this.#epoch = replayable && stable ? 0 : Math.floor(needs.environment.clock.wall());
    this.#lastLow = spec.from;
    this.#sharedKeys = new SharedKeys(spec.name, needs.log);
    this.#counts = new SourceCounts(needs.counts, spec.half.traits.replayable);
  }

  get name(): string {
    return this.#spec.name;
  }

  start(): void {
    void this.#run();
  }

  /** Reads no more. What it gave may still settle. */
  stop(): void {
    this.#stop.abort();
    this.#wake?.();
  }

  /** Stops reading for a reason (an open breaker, an operator), or goes on with undefined. */
  pause(reason: string | undefined): void {
    if ((this.#pausedFor === undefined) !== (reason === undefined))
      this.#needs.environment.probe?.(reason === undefined ? 'source.resumed' : 'source.paused');
    this.#pausedFor = reason;
    if (reason === undefined) this.#wake?.();
  }

  /** Nothing more will come than can be read now. */
  finish(): void {
    this.#spec.half.finish?.();
  }

  async close(): Promise<void> {
    this.stop();
    await this.#acking;
    await this.#spec.half.close?.();
  }

  snapshot(): SourceSnapshot {
    const oldest = this.#window.oldestGivenAt;
    return {
      name: this.#spec.name,
      ...this.#counts.figures,
      unsettled: this.#window.unsettled,
      unsettledBytes: this.#window.bytes,
      oldestUnsettledMs: oldest === undefined ? 0 : this.#needs.environment.clock.now() - oldest,
      position: this.#window.low,
      lag: this.#spec.half.lag?.(),
      waiting: this.#pausedFor ?? this.#waiting ?? this.#spec.half.waiting?.(),
      ended: this.#ended,
    };
  }

  // ── settling ─────────────────────────────────────────────────────────────────────────────────────────────────────

  settled(position: number, outcome: Outcome): void {
    const worst = this.#window.settle(position, outcome);
    if (worst === null) return;
    this.#counts.settle(worst);
    if (!this.#spec.half.traits.contiguous && this.#spec.half.ack) this.#settledPositions.push(position);
    this.#ackSoon();
    this.#wake?.();
  }

  #ackSoon(): void {
    if (this.#ackScheduled) return;
    this.#ackScheduled = true;
    this.#needs.environment.endOfTurn(() => this.#ack());
  }

  #ack(): void {
    this.#ackScheduled = false;
    const low = this.#window.low;
    const positions = this.#settledPositions;
    this.#settledPositions = [];
    const { half } = this.#spec;
    if (half.ack && (positions.length > 0 || (half.traits.contiguous && low > this.#lastLow))) {
      this.#needs.environment.probe?.('source.acked');
      this.#acking = this.#acking
        .then(() => half.ack!({ low, positions }))
        .catch((error: unknown) =>
          this.#needs.log.error(
            { source: this.name, err: toWire(error) },
            'the source refused an ack; it may give these again',
          ),
        );
    }
    if (low > this.#lastLow) {
      this.#lastLow = low;
      this.#counts.keep(this.#window.below);
      this.#needs.settledBelow(low);
    }
    this.#finishIfSettled();
  }

  #finishIfSettled(): void {
    if (!this.#ended || this.#finished || this.#window.unsettled > 0) return;
    this.#finished = true;
    void this.#acking.then(() => this.#needs.finished());
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async #run(): Promise<void> {
    for (;;) {
      try {
        await this.#readAll();
        break;
      } catch (thrown) {
        if (this.#stop.signal.aborted) break;
        const error = asError(thrown);
        if (classOf(error) === 'fatal' || !this.#spec.half.traits.replayable) {
          this.#needs.failed(
            new KeymillError('SOURCE_FAILED', `${this.name}: ${error.message}`, {
              cause: error,
              place: { source: this.name },
            }),
          );
          return;
        }
        this.#needs.log.error(
          { source: this.name, err: toWire(error), retryMs: this.#spec.options.errorPauseMs },
          'the source failed; it is read again from where it stood',
        );
        await this.#sleep(this.#spec.options.errorPauseMs);
      }
    }
    this.#ended = true;
    this.#needs.ended(this.#counts.figures.given);
    this.#finishIfSettled();
  }

  /** Going on in another input than the one that was read would pass over what nobody has seen. */
  async #recognise(): Promise<void> {
    const { half, mark, options } = this.#spec;
    if (this.#recognised || mark === null) return;
    let changed: Position | undefined;
    try {
      changed = await half.recognise?.(mark.of);
    } catch (error) {
      if (isKeymillError(error, 'CHECKPOINT_UNUSABLE')) error.message += ` (${mark.path})`;
      throw error;
    }
    this.#recognised = true;
    if (changed === undefined || changed >= this.#lastLow || options.repeat > 1) return;
    this.#window.rewind(changed);
    this.#lastLow = changed;
    this.#needs.log.warn(
      { source: this.name, position: changed },
      'a record has changed since it was read: given again',
    );
  }

  async #readAll(): Promise<void> {
    const { half, options, map } = this.#spec;
    await this.#recognise();
    const apply = map?.() as ((record: unknown, info: { position: Position }) => unknown) | undefined;
    // What was given already is not given again, but a map must see it, and repeating needs to know the length.
    const resume = this.#window.next;
    let base = 0;
    for (let round = 0; round < options.repeat && !this.#stop.signal.aborted; round++) {
      const from = map === null && options.repeat === 1 ? resume : 0;
      let length = 0;
      for await (const chunk of half.read(from, this.#stop.signal)) {
        for (const record of chunk) {
          if (this.#stop.signal.aborted) return;
          const position = base + record.position;
          length = record.position + 1;
          let message = record.value;
          let broken: Error | undefined = record.broken;
          if (!broken && apply)
            try {
              message = apply(record.value, { position });
            } catch (error) {
              broken = asError(error);
            }
          if (position < resume) continue;
          if (this.#mustWait() !== undefined) await this.#room();
          if (this.#stop.signal.aborted) return;
          const sent = broken ? this.#broken(record.value, broken, position) : this.#give(record, message, position);
          if (sent) await sent;
        }
        await new Promise<void>(resolve => this.#needs.environment.endOfTurn(resolve));
      }
      if (length === 0) return; // an empty source is not read again and again
      base += length;
    }
  }

  /** Sends one message to all targets. A promise when one of them has no room yet. */
  #give(record: SourceRecord, message: unknown, position: Position): Promise<void> | undefined {
    const { targets, half, map } = this.#spec;
    if (map && message === undefined) return this.#skipped(position);
    let keys: ReturnType<typeof checkKey>[];
    try {
      keys = targets.map(target => checkKey(target.definition.key(message), target.name));
    } catch (error) {
      return this.#broken(message, asError(error), position);
    }
    this.#sharedKeys.check(record.sharedBy, keys);
    this.#counts.give();
    this.#window.give(position, this.#needs.environment.clock.now(), targets.length);
    let waiting: Promise<void> | undefined;
    for (let t = 0; t < targets.length; t++) {
      const key = keys[t]!;
      const numbers = this.#needs.sender.numbersOf(targets[t]!.index);
      const envelope = {
        actor: targets[t]!.index,
        key,
        number: numbers.of(key),
        hash: numbers.hash,
        body: message,
        source: this.#spec.name,
        epoch: this.#epoch,
        position,
        path: this.#pathOf(t),
        flags: half.traits.replayable ? REPLAYABLE : 0,
        extras: null,
      };
      try {
        const sent = this.#needs.sender.send(envelope, this, position, () => this.#accepted(position));
        if (sent === true) this.#window.addBytes(position, this.#needs.sender.lastSize);
        else {
          this.#waiting = `room for key ${String(key).slice(0, 64)} of ${targets[t]!.name}`;
          const one = new Promise<void>(resolve => {
            this.#resumeGive.set(position, [...(this.#resumeGive.get(position) ?? []), resolve]);
          });
          waiting = waiting?.then(() => one) ?? one;
        }
      } catch (error) {
        this.#buryAt(position, t, message, asError(error));
      }
    }
    return waiting;
  }

  /** A map passed over a record: who acknowledges single records must hear of it. */
  #skipped(position: Position): undefined {
    const { half } = this.#spec;
    if (half.traits.contiguous || !half.ack) return;
    this.#settledPositions.push(position);
    this.#ackSoon();
  }

  readonly #resumeGive = new Map<Position, (() => void)[]>();

  #accepted(position: Position): void {
    this.#window.addBytes(position, this.#needs.sender.lastSize);
    this.#waiting = undefined;
    const waiters = this.#resumeGive.get(position);
    waiters?.shift()?.();
    if (waiters?.length === 0) this.#resumeGive.delete(position);
  }

  /** A record that cannot become a message: dead letter and on, or the end, as onBroken says. */
  #broken(value: unknown, error: Error, position: Position): undefined {
    if (this.#spec.options.onBroken === 'fail')
      throw new KeymillError('SOURCE_FAILED', error.message, {
        cause: error,
        place: { source: this.name, ...(isKeymillError(error) ? error.place : {}) },
      });
    this.#needs.log.warn({ source: this.name, err: toWire(error) }, 'record dead-lettered');
    this.#counts.give();
    const { targets } = this.#spec;
    this.#window.give(position, this.#needs.environment.clock.now(), targets.length);
    for (let t = 0; t < targets.length; t++) this.#buryAt(position, t, value, error);
    return undefined;
  }

  /** A message to several actors is several, each with an id and children of its own. */
  #pathOf(target: number): string {
    return this.#spec.targets.length === 1 ? '' : String(target);
  }

  #buryAt(position: Position, target: number, message: unknown, error: Error): void {
    const at = this.#needs.environment.clock.wall();
    const id = formatId(this.name, this.#epoch, position, this.#pathOf(target));
    this.#needs.bury(
      {
        id,
        actor: this.#spec.targets[target]!.name,
        key: '',
        message,
        error: toWire(error),
        history: [],
        attempts: 0,
        at,
      },
      () => this.settled(position, DEAD),
    );
  }

  #mustWait(): string | undefined {
    if (this.#pausedFor !== undefined) return this.#pausedFor;
    const { window, maxAckGap } = this.#spec.options;
    if (this.#window.unsettled >= window.messages) return 'window full (messages)';
    if (this.#window.bytes >= window.bytes) return 'window full (bytes)';
    if (this.#spec.half.traits.contiguous) {
      if (this.#window.span >= maxAckGap.messages) return 'ack gap (messages)';
      const oldest = this.#window.oldestGivenAt;
      if (maxAckGap.ageMs > 0 && oldest !== undefined && this.#needs.environment.clock.now() - oldest > maxAckGap.ageMs)
        return 'ack gap (age)';
    }
    return undefined;
  }

  async #room(): Promise<void> {
    for (;;) {
      this.#waiting = this.#mustWait();
      if (this.#waiting === undefined || this.#stop.signal.aborted) break;
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = this.#needs.environment.clock.after(ms, resolve);
      this.#stop.signal.addEventListener('abort', () => {
        timer.cancel();
        resolve();
      });
    });
  }
}
