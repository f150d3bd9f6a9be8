/** A table read by CDC, over the wire: every change in its order, positions that survive, and what is lost is noticed. */
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { ChangeItem, ChangeRecord } from '../../../actors/sql/contract.ts';
import { Captured, changedBy, decremented, instanceFor } from '../../../actors/sql/mssql/captured.ts';
import { MssqlResource } from '../../../actors/sql/mssql/resource.ts';
import { parseOptions } from '../../../actors/sql/options.ts';
import type { SourceHalf } from '../../../runtime/index.ts';
import { Reading } from '../../contract/sql.ts';
import type { Query, SqlValue } from '../../support/tds/index.ts';
import { contextOf, environment, SILENT } from '../support.ts';
import { LOOK, lsn, numberOf, ROW } from './cdc-pages.ts';
import { catalog, fakeServer, give, param, type Scripts } from './support.ts';
import { SMALL, tableFrom } from './tables.ts';

/** A row of a change table: lsn, command, seqval, operation, key, name. */
type Row = readonly [lsn: number, command: number, seq: number, operation: number, k: bigint, name: string];

let instances: { name: string; start: number; rows: Row[] }[];
let max: number;
let min: number;
let rows: [bigint, string][];
let points: Map<string, { version: bigint; lsn: Buffer }>;
let bookmarks: Map<string, [bigint, bigint]>;
beforeEach(() => {
  instances = [{ name: 'dbo_t', start: 10, rows: [] }];
  max = 10;
  min = 10;
  rows = [];
  points = new Map();
  bookmarks = new Map();
});

const stamp = (): string => `${instances.length} ${instances.map(one => one.name).join(' ')}`;
const look = (answer: Parameters<typeof give>[0]): Promise<void> =>
  give(answer, LOOK, [lsn(max), lsn(min), stamp(), 0, 'guid', 'fork', '2026', 1800n]);

/** In the order that a change table is read in. */
const after = (query: Query, [at, command, seq, operation]: Row): boolean => {
  const from = numberOf(param(query, 'kmLsn'));
  if (param(query, 'kmCommand') === undefined || at !== from) return at > from;
  const cursor = [
    Number(param(query, 'kmCommand')),
    numberOf(param(query, 'kmSeqval')),
    Number(param(query, 'kmOperation')),
  ];
  const here = [command, seq, operation];
  const i = here.findIndex((value, j) => value !== cursor[j]);
  return i >= 0 && here[i]! > cursor[i]!;
};

const scripts: Scripts = {
  ...catalog(() => SMALL),
  'ensure-captured': () => undefined,
  captures: (_query, answer) =>
    give(
      answer,
      ['nvarchar(128)', 'binary(10)', 'nvarchar(128)', 'int', 'nvarchar(100)'],
      ...instances.flatMap(({ name, start }) =>
        ['k', 'name', 'amount'].map((column, i): SqlValue[] => [name, lsn(start), column, i + 1, stamp()]),
      ),
    ),
  captured: async (query, answer) => {
    await look(answer);
    if (param(query, 'kmStamp') === stamp()) {
      const instance = instances.find(one => query.sql.includes(`cdc.[${one.name}_CT]`))!;
      const until = param(query, 'kmUntil');
      const found = instance.rows
        .filter(row => after(query, row) && row[0] <= max && (until === undefined || row[0] < numberOf(until)))
        .slice(0, Number(param(query, 'kmLimit')));
      await give(
        answer,
        ROW,
        ...found.map(([at, command, seq, operation, k, name]): SqlValue[] => [
          lsn(at),
          command,
          lsn(seq),
          operation,
          Buffer.from([2]),
          1700n,
          k,
          name,
          0.5,
        ]),
      );
    }
    await give(answer, ['binary(10)'], [lsn(min)]);
  },
  'captured-rows': async (query, answer) => {
    await look(answer);
    const from = param(query, 'kmKey0');
    await give(
      answer,
      ['bigint', 'nvarchar(50)', 'float'],
      ...rows
        .filter(([k]) => from === undefined || k > BigInt(String(from)))
        .slice(0, Number(param(query, 'kmLimit')))
        .map(([k, name]): SqlValue[] => [k, name, 0.5]),
    );
  },
  point: (query, answer) => {
    const version = param(query, 'kmVersion');
    const all = [...points.values()].filter(one => version === null || one.version === BigInt(String(version)));
    const last = all.sort((a, b) => Number(a.version - b.version)).at(-1);
    return give(answer, ['bigint', 'binary(10)'], ...(last ? [[last.version, last.lsn] as SqlValue[]] : []));
  },
  'set-point': query => {
    const version = BigInt(String(param(query, 'kmVersion')));
    points.set(String(version), { version, lsn: Buffer.from(param(query, 'kmLsn') as Uint8Array) });
  },
  bookmark: (query, answer) => {
    const found = bookmarks.get(String(param(query, 'kmName')));
    return give(answer, ['bigint', 'bigint'], ...(found ? [found as SqlValue[]] : []));
  },
  'set-bookmark': query => {
    bookmarks.set(String(param(query, 'kmName')), [
      BigInt(String(param(query, 'kmVersion'))),
      BigInt(String(param(query, 'kmEpoch'))),
    ]);
  },
};

async function open(): Promise<(more?: Record<string, unknown>) => SourceHalf<ChangeRecord>> {
  const server = await fakeServer(scripts);
  const options = parseOptions({ url: 'mssql://127.0.0.1/shop' }, 'io.db');
  const resource = new MssqlResource(server.driver(), options, contextOf('/nowhere'));
  onTestFinished(() => resource.close());
  return more =>
    resource.source({ table: 't', from: 'cdc', pollMs: { min: 1, max: 5 }, ...more }) as SourceHalf<ChangeRecord>;
}

const ended = (records: readonly ChangeRecord[]): boolean => records.some(one => one.operation === 'RESYNC_END');
const shape = ({ versionId, operation, pk, before, after: now }: ChangeItem): unknown[] => [
  versionId,
  operation,
  pk['k'],
  before?.['name'] ?? null,
  now?.['name'] ?? null,
];

test('gives the rows, and then every change with what it was and became', async () => {
  rows = [
    [1n, 'a'],
    [2n, 'b'],
  ];
  const source = await open();
  const reading = new Reading(source());
  await reading.until(ended);
  instances[0]!.rows.push(
    [11, 1, 1, 2, 3n, 'new'],
    [11, 2, 1, 3, 3n, 'new'],
    [11, 2, 1, 4, 3n, 'newer'],
    [12, 1, 1, 1, 1n, 'a'],
  );
  max = 12;
  await reading.until(() => reading.changes.length === 3);
  expect(reading.changes.map(shape)).toEqual([
    [1, 'INSERT', 3, null, 'new'],
    [2, 'UPDATE', 3, 'new', 'newer'],
    [3, 'DELETE', 1, 'a', null],
  ]);
  expect(reading.changes[1]!.changed).toEqual(['name']);
  await reading.stop();
});

test('goes on from its mark with the same numbers, page by page, and no UPDATE is torn', async () => {
  const source = await open();
  const first = new Reading(source({ pageSize: 2 }));
  await first.until(ended);
  instances[0]!.rows.push([11, 1, 1, 2, 1n, 'a']);
  max = 11;
  await first.until(() => first.changes.length === 1);
  const mark = await first.stop();
  const more: Row[] = [
    [12, 1, 1, 3, 1n, 'a'],
    [12, 1, 1, 4, 1n, 'b'],
    [12, 1, 2, 2, 2n, 'x'],
    [12, 2, 1, 3, 2n, 'x'],
    [12, 2, 1, 4, 2n, 'y'],
    [13, 1, 1, 1, 2n, 'y'],
  ];
  instances[0]!.rows.push(...more);
  max = 13;
  const expected = [
    [2, 'UPDATE', 1, 'a', 'b'],
    [3, 'INSERT', 2, null, 'x'],
    [4, 'UPDATE', 2, 'x', 'y'],
    [5, 'DELETE', 2, 'y', null],
  ];
  for (const pageSize of [1, 2, 3, 4, 100]) {
    const next = await open(); // another process
    const reading = new Reading(next({ pageSize }), mark);
    reading.hold();
    await reading.until(records => records.length === 4);
    expect(reading.changes.map(shape), `pages of ${pageSize}`).toEqual(expected);
    expect(reading.resyncs).toEqual([]);
    await reading.stop();
  }
});

test('halves of UPDATEs that a filter left alone are passed over', async () => {
  const source = await open();
  const reading = new Reading(source({ pageSize: 2 }));
  await reading.until(ended);
  instances[0]!.rows.push(
    [11, 1, 1, 3, 1n, 'a'],
    [11, 1, 2, 3, 2n, 'b'],
    [11, 1, 3, 3, 3n, 'c'],
    [12, 1, 1, 2, 4n, 'd'],
  );
  max = 12;
  await reading.until(() => reading.changes.length === 1);
  expect(reading.changes.map(shape)).toEqual([[1, 'INSERT', 4, null, 'd']]);
  await reading.stop();
});

test('the position moves over quiet times, and a clean-up close behind it loses nothing', async () => {
  const server = await fakeServer(scripts);
  const connection = await server.connect();
  let now = 0;
  const clock = { ...environment.clock, now: () => now };
  const kept = new Map<number, number>();
  const captured = new Captured({
    table: 't',
    environment: { ...environment, clock },
    log: SILENT,
    find: async () => tableFrom(SMALL),
    forget: () => undefined,
    ask: command => connection.run(command),
    point: async () => null,
    setPoint: async (_name, version, at) => {
      kept.set(version, numberOf(at));
      return true;
    },
  });
  await captured.rows({ table: 't', after: null, options: {} });
  await captured.keep({ version: 0 });
  const page = () => captured.page({ table: 't', after: { version: 0, pk: null }, baseline: 0, epoch: 1, options: {} });
  // Transactions of other tables are captured, and all of this table's up to there is cleaned up.
  max = 500;
  await page();
  expect(kept.get(0)).toBe(10);
  now = 31_000;
  await page();
  expect(kept.get(0)).toBe(500);
  min = 500;
  max = 501;
  instances[0]!.rows.push([501, 1, 1, 2, 9n, 'late']);
  expect((await page()).changes.map(shape)).toEqual([[1, 'INSERT', 9, null, 'late']]);
});

test('changes that were cleaned up before they were read: a resync', async () => {
  const source = await open();
  const first = new Reading(source());
  await first.until(ended);
  const mark = await first.stop();
  max = 600;
  min = 550; // above what was read
  const next = await open();
  const second = new Reading(next(), mark);
  await second.until(ended);
  expect(second.resyncs[0]).toMatchObject({ reason: 'cleaned' });
  await second.stop();
});

test('a second capture instance is read from where it begins, the first up to there', async () => {
  const source = await open();
  const reading = new Reading(source());
  await reading.until(ended);
  instances[0]!.rows.push([11, 1, 1, 2, 1n, 'old one'], [21, 1, 1, 2, 2n, 'in both']);
  instances.push({
    name: 'dbo_t_2',
    start: 20,
    rows: [
      [21, 1, 1, 2, 2n, 'in both'],
      [22, 1, 1, 2, 3n, 'new one'],
    ],
  });
  max = 22;
  await reading.until(() => reading.changes.length >= 3);
  expect(reading.changes.map(shape)).toEqual([
    [1, 'INSERT', 1, null, 'old one'],
    [2, 'INSERT', 2, null, 'in both'],
    [3, 'INSERT', 3, null, 'new one'],
  ]);
  instances.shift();
  instances[0]!.rows.push([23, 1, 1, 1, 3n, 'new one']);
  max = 23;
  await reading.until(() => reading.changes.length === 4);
  expect(reading.resyncs).toHaveLength(2);
  await reading.stop();
});

describe('a table that cannot be read so', () => {
  test('is told with what to do', async () => {
    instances = [];
    const reading = new Reading((await open())());
    await reading.ended;
    expect(reading.failure).toMatchObject({
      code: 'TRACKING_OFF',
      message: expect.stringContaining('sp_cdc_enable_table'),
    });
    await reading.stop();
  });

  test('is told apart where the instance may not be seen: the oldest LSN is zero', async () => {
    min = 0;
    const reading = new Reading((await open())());
    await reading.ended;
    expect(reading.failure).toMatchObject({ code: 'TRACKING_OFF', message: expect.stringContaining('GRANT') });
    await reading.stop();
  });

  test('and a second reader of the same name is refused', async () => {
    const source = await open();
    const reading = new Reading(source());
    expect(() => source()).toThrow(expect.objectContaining({ code: 'TABLE_TRACKED_TWICE' }));
    await reading.stop();
  });
});

test('masks go by ordinals from the last byte on', () => {
  const columns = Array.from({ length: 10 }, (_, bit) => ({ name: `c${bit + 1}`, bit }));
  const capture = { instance: 'x', startLsn: lsn(1), columns };
  expect(changedBy(new Uint8Array([0b10, 0b1]), capture)).toEqual(['c1', 'c10']);
  expect(changedBy(new Uint8Array([0b1]), capture)).toEqual(['c1']);
});

test('an LSN is counted down through all its bytes', () => {
  expect([...decremented(lsn(1))]).toEqual([0, 0, 0, 0, 255, 255, 255, 255, 255, 255]);
  const older = { instance: 'a', startLsn: lsn(5), columns: [] };
  const newer = { instance: 'b', startLsn: lsn(9), columns: [] };
  const captures = { all: [older, newer], stamp: '' };
  expect(instanceFor(captures, { lsn: lsn(8), within: null }).capture).toBe(older);
  expect(instanceFor(captures, { lsn: decremented(lsn(9)), within: null }).capture).toBe(newer);
});
