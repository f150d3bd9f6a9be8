/**
 * The store of parked messages (onKeyFull: park): an I/O actor that keeps them in a file of lines until they were
 * handled. Order per (actor, key) is the order of arrival. The file is emptied when nothing is parked.
 */
import { join } from 'node:path';
import { KeymillError } from '../errors.ts';
import type { Claim, Parked, ParkStore } from '../host/parking.ts';
import type { IoContext, IoReply, IoResource, IoSpec } from '../io/contract.ts';
import { formatId } from '../lanes/envelope.ts';
import { packValue, unpackValue } from '../lanes/value.ts';
import type { Key } from '../topology/define.ts';
import { AppendLog, keyFromJson, keyToJson, type LinePlace } from './append-log.ts';

type ParkOp =
  | { op: 'append'; messages: readonly Parked[]; claim: Claim }
  | { op: 'take'; actor: string; key: Key; after: number; count: number }
  | { op: 'forget'; actor: string; key: Key; seq: number }
  | { op: 'keys'; claims: readonly Claim[] };

export function park(): IoSpec<ParkStore> {
  return {
    kind: 'park',
    policy: {}, // who writes here retries for ever
    options: {},
    check: () => [],
    key: () => 'park',
    open: (_options, context) => ParkFile.open(context),
    client: ask => ({
      append: async (messages, claim) => (await ask({ op: 'append', messages, claim })) as number[],
      take: async (actor, key, after, count) =>
        (await ask({ op: 'take', actor, key, after, count })) as Awaited<ReturnType<ParkStore['take']>>,
      forget: async (actor, key, seq) => void (await ask({ op: 'forget', actor, key, seq })),
      keys: async claims => (await ask({ op: 'keys', claims })) as Awaited<ReturnType<ParkStore['keys']>>,
    }),
  };
}

/** Knows the last home that claimed each partition, and admits its writes only. */
export class ParkFences {
  readonly #last = new Map<number, Claim>();

  claim(claims: readonly Claim[]): void {
    for (const claim of claims) if (this.admits(claim)) this.#last.set(claim.partition, claim);
  }

  admits(claim: Claim): boolean {
    const last = this.#last.get(claim.partition);
    return (
      last === undefined ||
      claim.epoch > last.epoch ||
      (claim.epoch === last.epoch && claim.incarnation >= last.incarnation)
    );
  }
}

interface ParkedKey {
  actor: string;
  key: Key;
  hash: number;
  lines: Map<number, { place: LinePlace; id: string }>;
  /** Ids of what is parked: a message parked again after a crash is one. */
  ids: Map<string, number>;
}

class ParkFile implements IoResource {
  readonly #log: AppendLog;
  readonly #fences = new ParkFences();
  readonly #keys: Map<string, ParkedKey>;
  #next: number;

  private constructor(log: AppendLog, keys: Map<string, ParkedKey>, next: number) {
    this.#log = log;
    this.#keys = keys;
    this.#next = next;
  }

  static async open(context: IoContext): Promise<ParkFile> {
    const keys = new Map<string, ParkedKey>();
    const bySeq = new Map<number, ParkedKey>();
    // Hosts remember how far they took, so numbers must not start anew when the file was emptied: they start at the time.
    let next = Math.floor(context.environment.clock.wall()) * 1000;
    const log = await AppendLog.open(join(context.dataDir, 'parked.ndjson'), (line, place) => {
      const stored = JSON.parse(line);
      if (stored.forget) {
        const parked = bySeq.get(stored.forget);
        if (parked) forget(parked, stored.forget);
        bySeq.delete(stored.forget);
        if (parked?.ids.size === 0) keys.delete(nameOf(parked.actor, parked.key));
        return;
      }
      const parked = entryOf(keys, stored.actor, keyFromJson(stored.key), stored.hash);
      const id = idOf(stored);
      parked.lines.set(stored.seq, { place, id });
      parked.ids.set(id, stored.seq);
      bySeq.set(stored.seq, parked);
      next = Math.max(next, stored.seq + 1);
    });
    if (keys.size === 0) await log.clear();
    return new ParkFile(log, keys, next);
  }

  async handleBatch(asks: readonly ParkOp[]): Promise<readonly IoReply[]> {
    // One write for all lines of the drain; reads see what was written before them.
    const lines: string[] = [];
    const after: ((place: LinePlace) => void)[] = [];
    const undo: (() => void)[] = [];
    const refused = new Set<ParkOp>();
    const news = new Map<ParkOp, number[]>();
    for (const ask of asks) {
      if (ask.op === 'keys') this.#fences.claim(ask.claims);
      else if (ask.op === 'append' && !this.#fences.admits(ask.claim)) refused.add(ask);
      else if (ask.op === 'append') {
        news.set(
          ask,
          ask.messages.map(message => {
            const parked = entryOf(this.#keys, message.actor, message.key, message.hash);
            const id = idOf(message);
            const known = parked.ids.get(id);
            if (known !== undefined) return -known;
            const seq = this.#next++;
            const { body, key, ...rest } = message;
            lines.push(
              JSON.stringify({
                seq,
                ...rest,
                key: keyToJson(key),
                packed: Buffer.from(packValue(body)).toString('base64'),
              }),
            );
            parked.ids.set(id, seq); // at once: the same drain may hold it twice
            undo.push(() => parked.ids.delete(id));
            after.push(place => parked.lines.set(seq, { place, id }));
            return seq;
          }),
        );
      } else if (ask.op === 'forget') {
        lines.push(JSON.stringify({ forget: ask.seq }));
        after.push(() => {
          const name = nameOf(ask.actor, ask.key);
          const parked = this.#keys.get(name);
          if (parked) forget(parked, ask.seq);
          if (parked?.ids.size === 0) this.#keys.delete(name);
        });
      }
    }
    let failure: unknown;
    try {
      const places = lines.length > 0 ? await this.#log.append(lines) : [];
      places.forEach((place, i) => {
        after[i]!(place);
      });
      if (this.#keys.size === 0 && this.#log.bytes > 0) await this.#log.clear();
    } catch (error) {
      failure = error;
      for (const back of undo) back();
    }
    const replies: IoReply[] = [];
    for (const ask of asks) {
      if (ask.op === 'keys')
        replies.push({
          value: [...this.#keys.values()].map(({ actor, key, hash, lines }) => ({
            actor,
            key,
            hash,
            count: lines.size,
            last: [...lines.keys()].at(-1) ?? 0,
          })),
        });
      else if (ask.op === 'take') replies.push({ value: await this.#take(ask) });
      else if (refused.has(ask))
        replies.push({
          error: new KeymillError('IO_FAILED', 'a later home parks for this partition', { class: 'fatal' }),
        });
      else replies.push(failure === undefined ? { value: news.get(ask) } : { error: failure });
    }
    return replies;
  }

  async close(): Promise<void> {
    await this.#log.close();
  }

  async #take(ask: Extract<ParkOp, { op: 'take' }>): Promise<{ seq: number; message: Parked }[]> {
    const taken: { seq: number; message: Parked }[] = [];
    for (const [seq, { place }] of this.#keys.get(nameOf(ask.actor, ask.key))?.lines ?? []) {
      if (seq <= ask.after) continue;
      const { packed, seq: _seq, key, ...rest } = JSON.parse(await this.#log.read(place));
      taken.push({
        seq,
        message: { ...rest, key: keyFromJson(key), body: unpackValue(Buffer.from(packed, 'base64')) },
      });
      if (taken.length === ask.count) break;
    }
    return taken;
  }
}

function forget(parked: ParkedKey, seq: number): void {
  const line = parked.lines.get(seq);
  parked.lines.delete(seq);
  if (line) parked.ids.delete(line.id);
}

function idOf(message: Pick<Parked, 'source' | 'epoch' | 'position' | 'path'>): string {
  return formatId(message.source, message.epoch, message.position, message.path);
}

function entryOf(keys: Map<string, ParkedKey>, actor: string, key: Key, hash: number): ParkedKey {
  const name = nameOf(actor, key);
  let entry = keys.get(name);
  if (!entry) keys.set(name, (entry = { actor, key, hash, lines: new Map(), ids: new Map() }));
  return entry;
}

function nameOf(actor: string, key: Key): string {
  return `${actor}/${typeof key}:${String(key)}`;
}
