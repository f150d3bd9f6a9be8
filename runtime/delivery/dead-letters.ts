/**
 * The store of dead letters: an I/O actor that keeps them in a file of lines, one JSON object each, to be read with any
 * tool. `message` is there for the reader; `packed` (base64 of the packed message) is what a replay sends, byte for byte.
 * A letter written again after a crash is one, by its id. Dropped and replayed letters are struck out by a later line.
 */
import { join } from 'node:path';
import { KeymillError } from '../errors.ts';
import type { IoContext, IoReply, IoResource, IoSpec } from '../io/contract.ts';
import { packValue, unpackValue } from '../lanes/value.ts';
import { AppendLog, keyFromJson, keyToJson, type LinePlace } from './append-log.ts';
import type { DeadLetter } from './dead-letter.ts';

export type DeadLetterOp =
  | { op: 'write'; letter: DeadLetter }
  | { op: 'list'; limit: number; actor?: string }
  | { op: 'show'; id: string }
  | { op: 'strike'; id: string; why: 'dropped' | 'replayed' };

export interface DeadLetterClient {
  /** Newest last, `limit` at most. */
  list(options?: { limit?: number; actor?: string }): Promise<DeadLetter[]>;
  /** Throws DEAD_LETTER_UNKNOWN. */
  show(id: string): Promise<DeadLetter>;
  /** Strikes a letter out. Throws DEAD_LETTER_UNKNOWN. */
  strike(id: string, why: 'dropped' | 'replayed'): Promise<void>;
}

/** The default store: `dead-letters.ndjson` in the data folder. */
export function deadLetters(): IoSpec<DeadLetterClient> {
  return {
    kind: 'dead-letters',
    policy: {}, // who writes here retries for ever
    options: {},
    check: () => [],
    key: () => 'dead-letters',
    open: (_options, context) => DeadLetterFile.open(context),
    client: ask => ({
      list: async options =>
        (await ask({
          op: 'list',
          limit: options?.limit ?? 100,
          ...(options?.actor ? { actor: options.actor } : {}),
        })) as DeadLetter[],
      show: async id => (await ask({ op: 'show', id })) as DeadLetter,
      strike: async (id, why) => void (await ask({ op: 'strike', id, why })),
    }),
  };
}

class DeadLetterFile implements IoResource {
  readonly #log: AppendLog;
  readonly #letters: Map<string, LinePlace>;

  private constructor(log: AppendLog, letters: Map<string, LinePlace>) {
    this.#log = log;
    this.#letters = letters;
  }

  static async open(context: IoContext): Promise<DeadLetterFile> {
    const letters = new Map<string, LinePlace>();
    const log = await AppendLog.open(join(context.dataDir, 'dead-letters.ndjson'), (line, place) => {
      const parsed = JSON.parse(line) as { id?: string; struck?: string };
      if (parsed.struck) letters.delete(parsed.struck);
      else if (parsed.id) letters.set(parsed.id, place);
    });
    return new DeadLetterFile(log, letters);
  }

  async handleBatch(asks: readonly DeadLetterOp[]): Promise<readonly IoReply[]> {
    const replies: IoReply[] = new Array(asks.length);
    const writes: { index: number; id: string; line: string }[] = [];
    const written = new Map<string, string>();
    for (let i = 0; i < asks.length; i++) {
      const ask = asks[i]!;
      if (ask.op === 'write') {
        const id = await this.#idFor(ask.letter, written);
        if (id === undefined) {
          replies[i] = { value: undefined };
          continue;
        }
        const line = encode({ ...ask.letter, id });
        written.set(id, line);
        writes.push({ index: i, id, line });
      }
    }
    if (writes.length > 0) {
      try {
        const places = await this.#log.append(writes.map(write => write.line));
        writes.forEach((write, w) => {
          this.#letters.set(write.id, places[w]!);
          replies[write.index] = { value: undefined };
        });
      } catch (error) {
        for (const write of writes) replies[write.index] = { error };
      }
    }
    for (let i = 0; i < asks.length; i++) {
      const ask = asks[i]!;
      if (ask.op !== 'write') replies[i] = await this.#answer(ask);
    }
    return replies;
  }

  async close(): Promise<void> {
    await this.#log.close();
  }

  /**
   * The id to write it under; undefined when this letter stands already, written before a crash. A source that reads
   * another file from position 0, as the one of the next day, gives other messages the same ids: they get a number.
   * `written`: lines of this drain, by id, which are about to stand.
   */
  async #idFor(letter: DeadLetter, written: ReadonlyMap<string, string>): Promise<string | undefined> {
    let { id } = letter;
    for (let number = 2; ; number++) {
      const place = this.#letters.get(id);
      const line = place ? await this.#log.read(place) : written.get(id);
      if (line === undefined) return id;
      const { actor, packed } = JSON.parse(line) as { actor: string; packed: string };
      if (actor === letter.actor && packed === pack(letter.message)) return undefined;
      id = `${letter.id}~${number}`;
    }
  }

  async #answer(ask: Exclude<DeadLetterOp, { op: 'write' }>): Promise<IoReply> {
    try {
      if (ask.op === 'list') {
        const found: DeadLetter[] = [];
        for (const place of [...this.#letters.values()].reverse()) {
          const letter = decode(await this.#log.read(place));
          if (ask.actor === undefined || ask.actor === letter.actor) found.push(letter);
          if (found.length === ask.limit) break;
        }
        return { value: found.reverse() };
      }
      const place = this.#letters.get(ask.id);
      if (!place) throw new KeymillError('DEAD_LETTER_UNKNOWN', ask.id, { place: { at: ask.id } });
      if (ask.op === 'show') return { value: decode(await this.#log.read(place)) };
      await this.#log.append([JSON.stringify({ struck: ask.id, why: ask.why })]);
      this.#letters.delete(ask.id);
      if (this.#letters.size === 0 && this.#log.bytes > 1 << 20) await this.#log.clear();
      return { value: undefined };
    } catch (error) {
      return { error };
    }
  }
}

function encode(letter: DeadLetter): string {
  return JSON.stringify({
    v: 1,
    id: letter.id,
    at: new Date(letter.at).toISOString(),
    actor: letter.actor,
    key: keyToJson(letter.key),
    error: letter.error,
    attempts: letter.attempts,
    history: letter.history,
    message: readable(letter.message),
    packed: pack(letter.message),
  });
}

function pack(message: unknown): string {
  return Buffer.from(packValue(message)).toString('base64');
}

function decode(line: string): DeadLetter {
  const stored = JSON.parse(line);
  return {
    id: stored.id,
    at: Date.parse(stored.at),
    actor: stored.actor,
    key: keyFromJson(stored.key),
    error: stored.error,
    attempts: stored.attempts,
    history: stored.history,
    message: unpackValue(Buffer.from(stored.packed, 'base64')),
  };
}

/** The message as far as JSON can show it. */
function readable(message: unknown): unknown {
  try {
    return JSON.parse(
      JSON.stringify(message, (_name, value: unknown) =>
        typeof value === 'bigint'
          ? String(value)
          : value instanceof Map
            ? Object.fromEntries(value)
            : value instanceof Set
              ? [...value]
              : value,
      ) ?? 'null',
    );
  } catch {
    return String(message);
  }
}
