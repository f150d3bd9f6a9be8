/**
 * Judges a run by a ledger that the handlers wrote themselves, with a blocking append before and after each message, so
 * that what a killed thread did is known and nothing of the engine is believed. A line is
 *
 *   WHAT KEY N ATTEMPT HOST LIFE CALL TIME
 *
 * WHAT: `begin` of a message; `end` when it was handled, `fail` when the handler gave up; `fault:KIND` just before a
 * handler does its worst · N: number of the message in its key, from 1 · ATTEMPT: ctx.attempt · LIFE: `pid.threadId`, one
 * incarnation of a thread · CALL: number of the handler call in that life; the messages of a batch share it · TIME:
 * process.hrtime in ns, the same clock in all threads and processes of a machine. A source adds
 * `ack - LOW - - LIFE - TIME` when it is told that all below LOW settled.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Line {
  readonly what: string;
  readonly key: string;
  readonly n: number;
  readonly attempt: number;
  readonly host: string;
  readonly life: string;
  readonly call: string;
  readonly time: bigint;
}

export interface Expectation {
  /** How many messages each key was given, numbered from 1. */
  readonly given: ReadonlyMap<string, number>;
  /** Messages that may be missing, as `KEY N`: their dead letters or drops were counted elsewhere. */
  readonly excused?: ReadonlySet<string> | undefined;
  /** Handler calls beyond the first of a message, over all messages. */
  readonly maxRepeats: number;
  /** The message at a position of the source whose acks are in the ledger, as `KEY N`. */
  readonly at?: ((position: number) => string) | undefined;
}

export interface Verdict {
  /** Sentences, worst first; empty when the run was sound. */
  readonly faults: readonly string[];
  readonly lost: number;
  readonly reordered: number;
  readonly repeats: number;
  readonly overlaps: number;
  readonly earlyAcks: number;
}

/** All lines of the `*.ledger` files of a folder, in order of time. A torn last line, of a process that was killed, is left out. */
export function readLedgers(dir: string): Line[] {
  const lines: Line[] = [];
  for (const name of readdirSync(dir).sort()) {
    if (!name.endsWith('.ledger')) continue;
    const text = readFileSync(join(dir, name), 'utf8');
    for (const row of text.slice(0, text.lastIndexOf('\n') + 1).split('\n')) if (row !== '') lines.push(parseLine(row));
  }
  return lines.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
}

export function parseLine(row: string): Line {
  const fields = row.split(' ');
  if (fields.length !== 8) throw new Error(`not a line of a ledger: ${row}`);
  const [what, key, n, attempt, host, life, call, time] = fields as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  return { what, key, n: Number(n), attempt: Number(attempt), host, life, call, time: BigInt(time) };
}

export function judge(lines: readonly Line[], expectation: Expectation): Verdict {
  const begins = lines.filter(line => line.what === 'begin');
  const ends = lines.filter(line => line.what === 'end');
  const lost = missing(ends, expectation);
  const reordered = outOfOrder(begins);
  const repeats = begins.length - new Set(begins.map(nameOf)).size;
  const overlapping = overlaps(lines);
  const early = expectation.at ? earlyAcks(lines, expectation.at, expectation.excused) : [];
  const strange = begins.filter(({ key, n }) => n < 1 || n > (expectation.given.get(key) ?? 0));
  const faults = [
    ...some('lost', lost),
    ...some('first handled out of order', reordered),
    ...some('handled twice at once', overlapping),
    ...some('acked before it settled', early),
    ...some('handled but never given', strange.map(nameOf)),
    ...(repeats > expectation.maxRepeats ? [`${repeats} repeats, at most ${expectation.maxRepeats} are allowed`] : []),
  ];
  return {
    faults,
    lost: lost.length,
    reordered: reordered.length,
    repeats,
    overlaps: overlapping.length,
    earlyAcks: early.length,
  };
}

/** Given, but never handled to the end. */
function missing(ends: readonly Line[], { given, excused }: Expectation): string[] {
  const ended = new Set(ends.map(nameOf));
  const lost: string[] = [];
  for (const [key, count] of given)
    for (let n = 1; n <= count; n++)
      if (!ended.has(`${key} ${n}`) && !excused?.has(`${key} ${n}`)) lost.push(`${key} ${n}`);
  return lost;
}

/** First occurrences must come with growing numbers, key by key. */
function outOfOrder(begins: readonly Line[]): string[] {
  const last = new Map<string, number>();
  const seen = new Set<string>();
  const wrong: string[] = [];
  for (const begin of begins) {
    const name = nameOf(begin);
    if (seen.has(name)) continue;
    seen.add(name);
    const before = last.get(begin.key) ?? 0;
    if (begin.n < before) wrong.push(`${name} after ${before}`);
    else last.set(begin.key, begin.n);
  }
  return wrong;
}

/**
 * Two calls for one key at once. A call that never ended lasted until its thread died, of which the ledger knows only
 * that it was after the last line of that life: so a later call overlaps it if that life still wrote after it began.
 */
function overlaps(lines: readonly Line[]): string[] {
  const lastOfLife = new Map<string, bigint>();
  for (const line of lines) lastOfLife.set(line.life, line.time);
  const calls = new Map<string, { key: string; name: string; open: number; began: bigint; ended: bigint }>();
  for (const line of lines) {
    const id = `${line.life} ${line.call} ${line.key}`;
    let call = calls.get(id);
    if (line.what === 'begin') {
      if (!call)
        calls.set(id, (call = { key: line.key, name: nameOf(line), open: 0, began: line.time, ended: line.time }));
      call.open++;
    } else if (call && (line.what === 'end' || line.what === 'fail')) {
      call.open--;
      call.ended = line.time;
    }
  }
  for (const [id, call] of calls) if (call.open > 0) call.ended = lastOfLife.get(id.slice(0, id.indexOf(' ')))!;
  const open = new Map<string, { name: string; ended: bigint }>();
  const wrong: string[] = [];
  for (const call of [...calls.values()].sort((a, b) => (a.began < b.began ? -1 : 1))) {
    const before = open.get(call.key);
    if (before && call.began < before.ended) wrong.push(`${call.name} during ${before.name}`);
    if (!before || call.ended > before.ended) open.set(call.key, call);
  }
  return wrong;
}

/** Acked positions whose message had not been handled to the end when the ack came. */
function earlyAcks(
  lines: readonly Line[],
  at: (position: number) => string,
  excused: ReadonlySet<string> = new Set(),
): string[] {
  const ended = new Set<string>();
  const wrong: string[] = [];
  let low = 0;
  for (const line of lines) {
    if (line.what === 'end') ended.add(nameOf(line));
    if (line.what !== 'ack') continue;
    for (; low < line.n; low++) if (!ended.has(at(low)) && !excused.has(at(low))) wrong.push(at(low));
  }
  return wrong;
}

function nameOf({ key, n }: Line): string {
  return `${key} ${n}`;
}

function some(what: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  return [`${names.length} ${what}: ${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}`];
}
