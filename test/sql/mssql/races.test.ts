/** The races on SQL Server, over TDS: something happens before a statement of the batch that reads a page. */
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { applied, Reading, waitFor } from '../../contract/sql.ts';
import type { MssqlServer, MssqlServerOptions, Step } from '../../support/tds/database/index.ts';
import { mssqlServer } from '../../support/tds/database/index.ts';
import { type RaceBench, type Racing, sqlRaces } from '../races.ts';
import { benchOn } from './bench.ts';
import { Calls } from './calls.ts';
import { accompany, type Companion } from './company.ts';

/** Statements of a page, in their order. */
const STEPS: Readonly<Record<string, (step: Step) => boolean>> = {
  look: ({ text }) => text.startsWith('DECLARE @kmNow'),
  began: ({ text }) => text.startsWith('DECLARE @kmBegan'),
  touch: ({ text }) => text.startsWith('DECLARE @kmTouched'),
  min: ({ text }) => text.startsWith('DECLARE @kmMin'),
  database: ({ kind, text }) => kind === 'select' && text.includes('@kmNow'),
  stamp: ({ text }) => text.startsWith('DECLARE @kmSeen'),
  table: ({ kind, text }) => kind === 'select' && text.endsWith('@kmFrom'),
  changes: ({ kind, text }) => kind === 'select' && text.includes('CHANGETABLE'),
  check: ({ kind, text }) => kind === 'commit' || /^SELECT\s+CHANGE_TRACKING_MIN_VALID/.test(text),
};

/** Others that are asked about in every call about `t`, which stands between them. */
const OTHERS = ['s', 'u'];

function raceOn(server: MssqlServer, snapshot: boolean, others: readonly string[] = []) {
  const bench = benchOn(server, { snapshot });
  const backup = join(server.folder, 'backup');
  const calls = new Calls(server);
  const company = accompany(bench.driver, others);
  const isOf = (step: Step): boolean => {
    const named = /^DECLARE @km(?:Began|Min)(\d+)/.exec(step.text);
    const place = named ? Number(named[1]) : calls.place(step);
    return !/^(DECLARE|SELECT)/.test(step.text) || place < 0 || place === others.indexOf('s') + 1;
  };
  return {
    ...bench,
    company,
    async createTable(name: string, keys: 0 | 1 | 2 = 1) {
      for (const one of [name, ...others]) await bench.createTable(one, keys);
      for (const one of others) {
        await bench.client.track(one);
        await bench.elsewhere(`INSERT INTO ${one} (k) VALUES (1)`);
      }
    },
    before: (step: string, act: () => Promise<unknown>, of: 'changes' | 'rows' = 'changes') =>
      new Promise<void>((resolve, reject) => {
        server.at(
          one => one.name === of && STEPS[step]!(one) && (of === 'rows' || isOf(one)),
          () => act().then(() => resolve(), reject),
        );
      }),
    async backUp() {
      server.backUp(backup);
    },
    async restore() {
      server.restore(backup);
    },
    async reopen(meanwhile?: () => Promise<void>): Promise<RaceBench> {
      await bench.closeActor();
      await meanwhile?.();
      return raceOn(server, snapshot, others);
    },
  };
}

const race = (
  name: string,
  snapshot: boolean,
  fixedFrom: string | null,
  how: MssqlServerOptions = {},
  { others = [], ...more }: Pick<Racing, 'only'> & { readonly others?: readonly string[] } = {},
): void =>
  sqlRaces(`mssql, ${name}`, {
    steps: Object.keys(STEPS),
    fixedFrom,
    truncatedBefore: Object.keys(STEPS),
    ...more,
    open: async () => raceOn(await mssqlServer(how), snapshot, others),
  });

/** Every race of every mode with KEYMILL_SQL_RACES=all; else some modes have those of a truncate only, to save a minute. */
const rest: Pick<Racing, 'only'> = process.env['KEYMILL_SQL_RACES'] === 'all' ? {} : { only: 'truncates' };

race('in a snapshot', true, 'database');
// The snapshot begins with the touch.
const ofBeginning = { currentVersion: 'snapshot', minValidVersion: 'snapshot' } as const;
race('in a snapshot where versions are those of its beginning', true, 'min', { unsure: ofBeginning }, rest);
race('without snapshots', false, null);
race('among others, in a snapshot', true, 'database', {}, { others: OTHERS, ...rest });
race('among others, without snapshots', false, null, {}, { others: OTHERS });
for (const snapshot of [true, false])
  race(
    `snapshot ${snapshot}, where TRUNCATE and ENABLE take no version`,
    snapshot,
    null,
    { unsure: { beginVersion: 'current' } },
    { only: 'truncates' },
  );

/** What another program does to `table` in the middle of a call, and what its readers are told, one way or the other. */
const ACTS: readonly [
  what: string,
  act: (server: MssqlServer, table: string, from: number) => Promise<unknown>,
  told: string[],
][] = [
  ['truncated', (server, table) => server.run(`TRUNCATE TABLE ${table}`), ['truncated', 'cleaned']],
  ['dropped', (server, table) => server.run(`DROP TABLE ${table}`), ['TABLE_UNKNOWN']],
  [
    'not tracked any more',
    (server, table) => server.run(`ALTER TABLE ${table} DISABLE CHANGE_TRACKING`),
    ['TRACKING_OFF'],
  ],
  ['cleaned up', (server, _table, from) => server.cleanUp(from + 1), ['cleaned']],
];

describe.each([true, false])('another table of the same call, snapshot %s', snapshot => {
  let bench: ReturnType<typeof raceOn>;
  afterEach(() => bench.close());
  const cases = ACTS.flatMap(([what, act, told]) => Object.keys(STEPS).map(step => ({ what, act, told, step })));

  test.each(cases)('is $what before $step: nothing becomes of the others', async ({ act, told, step }) => {
    const server = await mssqlServer();
    bench = raceOn(server, snapshot, OTHERS);
    await bench.createTable('t');
    // What may heal is not tried again by the reader: nothing is to fail.
    const reading = new Reading(bench.source({ table: 't', track: true, pollMs: { min: 1, max: 2 } }));
    await reading.until(records => records.some(({ operation }) => operation === 'RESYNC_END'));
    const [first, other] = OTHERS.map(name => bench.company.get(name)!) as [Companion, Companion];
    await waitFor(() => first.isReading && other.isReading);
    await bench.elsewhere("INSERT INTO s (k, name) VALUES (2, 'a'); INSERT INTO t (k, name) VALUES (2, 'a')");
    await reading.until(() => reading.changes.length >= 1);
    await waitFor(() => first.changes.length > 0);
    // One has read all, the other stays behind: a clean-up passes that one by.
    other.isHeld = true;
    const { version } = server;
    await bench.elsewhere("UPDATE u SET name = 'b'; UPDATE s SET name = 'c'; UPDATE t SET name = 'c' WHERE k = 2");
    await reading.until(() => reading.changes.some(({ data }) => data?.['name'] === 'c'));
    await waitFor(() => first.changes.some(({ data }) => data?.['name'] === 'c'));
    await bench.before(step, async () => {
      await bench.elsewhere("INSERT INTO t (k, name) VALUES (3, 'd'); INSERT INTO s (k, name) VALUES (3, 'd')");
      await act(server, 'u', version);
    });
    await reading.until(() => reading.changes.some(({ pk }) => pk['k'] === 3));
    await waitFor(() => first.changes.some(({ pk }) => pk['k'] === 3) && other.told.length > 0);
    expect(told).toContain(other.told[0]);
    expect(first.told).toEqual([]);
    expect(reading.resyncs).toHaveLength(2);
    expect(applied(reading.records)).toEqual(await bench.client.query('SELECT * FROM t ORDER BY k'));
    await reading.stop();
  });
});
