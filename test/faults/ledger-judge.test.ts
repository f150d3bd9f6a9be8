/** The judge itself: it must fail runs that are not sound. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Expectation, judge, type Line, parseLine, readLedgers } from '../support/ledger-judge.ts';

/** `begin a 1` or `end a 1 2.7 3`: WHAT KEY N [LIFE [CALL]]; time is the index, call the index of the begin. */
function ledger(...rows: string[]): Line[] {
  const open = new Map<string, string>();
  return rows.map((row, time) => {
    const [what, key, n, life = '1.1', said] = row.split(' ') as [string, string, string, string?, string?];
    const name = `${life} ${key} ${n}`;
    if (what === 'begin') open.set(name, String(time));
    const call = said ?? open.get(name) ?? '-';
    return parseLine(`${what} ${key} ${n} 1 1 ${life} ${call} ${time}`);
  });
}

const given = (counts: Record<string, number>, maxRepeats = 0): Expectation => ({
  given: new Map(Object.entries(counts)),
  maxRepeats,
});

describe('the ledger judge', () => {
  it('passes a run in which every message was handled once, in order', () => {
    const lines = ledger('begin a 1', 'begin b 1', 'end a 1', 'begin a 2', 'end b 1', 'end a 2');
    expect(judge(lines, given({ a: 2, b: 1 }))).toEqual({
      faults: [],
      lost: 0,
      reordered: 0,
      repeats: 0,
      overlaps: 0,
      earlyAcks: 0,
    });
  });

  it('fails a lost message, one that only began, and excuses those it was told of', () => {
    const lines = ledger('begin a 1', 'end a 1', 'begin a 3');
    expect(judge(lines, given({ a: 3 }))).toMatchObject({ lost: 2, faults: ['2 lost: a 2, a 3'] });
    expect(judge(lines, { ...given({ a: 3 }), excused: new Set(['a 2', 'a 3']) }).faults).toEqual([]);
  });

  it('fails first occurrences out of order, but not repeats of what was handled before', () => {
    const swapped = ledger('begin a 2', 'end a 2', 'begin a 1', 'end a 1');
    expect(judge(swapped, given({ a: 2 }))).toMatchObject({ reordered: 1 });
    const repeated = ledger(
      'begin a 1',
      'end a 1',
      'begin a 2',
      'end a 2',
      'begin a 1',
      'end a 1',
      'begin a 3',
      'end a 3',
    );
    expect(judge(repeated, given({ a: 3 }, 1))).toMatchObject({ reordered: 0, repeats: 1, faults: [] });
  });

  it('fails more repeats than are allowed', () => {
    const lines = ledger('begin a 1', 'end a 1', 'begin a 1', 'end a 1', 'begin a 1', 'end a 1');
    expect(judge(lines, given({ a: 1 }, 1)).faults).toEqual(['2 repeats, at most 1 are allowed']);
  });

  it('fails two calls of one key at once, in one thread or two', () => {
    const one = ledger('begin a 1', 'begin a 2', 'end a 1', 'end a 2');
    const two = ledger('begin a 1 1.1', 'begin a 2 1.2', 'end a 1 1.1', 'end a 2 1.2');
    for (const lines of [one, two]) expect(judge(lines, given({ a: 2 }))).toMatchObject({ overlaps: 1 });
  });

  it('takes the messages of one batch for one call', () => {
    const lines = ledger('begin a 1 1.1 7', 'begin a 2 1.1 7', 'end a 1 1.1 7', 'end a 2 1.1 7');
    expect(judge(lines, given({ a: 2 })).faults).toEqual([]);
  });

  it('takes a call that never ended to have lasted while its thread wrote', () => {
    const dead = ledger('begin a 1 1.1', 'begin a 1 1.2', 'end a 1 1.2');
    expect(judge(dead, given({ a: 1 }, 1)).faults).toEqual([]);
    const alive = ledger('begin a 1 1.1', 'begin a 1 1.2', 'end a 1 1.2', 'begin b 1 1.1', 'end b 1 1.1');
    expect(judge(alive, given({ a: 1, b: 1 }, 1))).toMatchObject({ overlaps: 1 });
  });

  it('fails an ack that came before the message was handled', () => {
    const at = (position: number): string => `a ${position + 1}`;
    const late = ledger('begin a 1', 'end a 1', 'ack - 1', 'begin a 2', 'end a 2', 'ack - 2');
    expect(judge(late, { ...given({ a: 2 }), at })).toMatchObject({ earlyAcks: 0, faults: [] });
    const early = ledger('begin a 1', 'ack - 1', 'end a 1', 'begin a 2', 'end a 2', 'ack - 2');
    expect(judge(early, { ...given({ a: 2 }), at })).toMatchObject({ earlyAcks: 1 });
  });

  it('fails messages that nobody gave', () => {
    expect(judge(ledger('begin a 1', 'end a 1', 'begin z 1', 'end z 1'), given({ a: 1 })).faults).toHaveLength(1);
  });

  it('reads the files of a folder in order of time and leaves a torn last line out', () => {
    const dir = mkdtempSync(join(tmpdir(), 'keymill-judge-'));
    writeFileSync(join(dir, 'host-1.ledger'), 'begin a 1 1 1 1.1 1 10\nend a 1 1 1 1.1 1 30\nbegin a 2 1 1 1.');
    writeFileSync(join(dir, 'host-2.ledger'), 'begin b 1 1 2 1.2 1 20\n');
    expect(readLedgers(dir).map(({ what, key }) => `${what} ${key}`)).toEqual(['begin a', 'begin b', 'end a']);
    rmSync(dir, { recursive: true });
  });
});
