/** Two replicas that read a table by CDC: the one that takes over counts on where the other was settled, and fences its points. */
import { expect, onTestFinished, test } from 'vitest';
import type { ChangeRecord } from '../../actors/sql/contract.ts';
import { MssqlResource } from '../../actors/sql/mssql/resource.ts';
import { parseOptions } from '../../actors/sql/options.ts';
import type { SourceHalf } from '../../runtime/index.ts';
import { Reading, waitFor } from '../contract/sql.ts';
import { type Query, SqlError, type SqlValue } from '../support/tds/index.ts';
import { LOOK, lsn, numberOf, ROW } from './mssql/cdc-pages.ts';
import { catalog, type FakeServer, fakeServer, give, param, type Scripts } from './mssql/support.ts';
import { SMALL } from './mssql/tables.ts';
import { contextOf } from './support.ts';

/** A captured table whose rows are inserts, one for each LSN above 10. */
async function captured() {
  const state = { max: 10, owner: '', token: 0, endsAt: 0, mark: null as SqlValue };
  const points = new Map<number, Uint8Array>();
  let kept: [SqlValue, SqlValue] | null = null;
  const pointed: number[] = [];
  const fence = (query: Query): void => {
    const token = Number(param(query, 'kmToken'));
    if (token < state.token) throw new SqlError(51_004, 'keymill: the lease was taken over', { rollsBack: true });
    state.token = token;
    state.mark = param(query, 'kmMark') ?? state.mark;
  };
  const look = (answer: Parameters<typeof give>[0]): Promise<void> =>
    give(answer, LOOK, [lsn(state.max), lsn(10), 's', 0, 'guid', 'fork', '2026', 1800n]);
  const scripts: Scripts = {
    ...catalog(() => SMALL),
    'ensure-leaders': () => undefined,
    'ensure-captured': () => undefined,
    captures: (_query, answer) =>
      give(
        answer,
        ['nvarchar(128)', 'binary(10)', 'nvarchar(128)', 'int', 'nvarchar(100)'],
        ...['k', 'name', 'amount'].map((column, i): SqlValue[] => ['dbo_t', lsn(10), column, i + 1, 's']),
      ),
    captured: async (query, answer) => {
      await look(answer);
      const from = numberOf(param(query, 'kmLsn'));
      const found = Array.from({ length: Math.max(0, state.max - from) }, (_, i): SqlValue[] => {
        const at = from + 1 + i;
        return [lsn(at), 1, lsn(1), 2, Buffer.from([7]), 1700n, BigInt(at), `n${at}`, 0.5];
      });
      await give(answer, ROW, ...found);
      await give(answer, ['binary(10)'], [lsn(10)]);
    },
    'captured-rows': async (_query, answer) => {
      await look(answer);
      await give(answer, ['bigint', 'nvarchar(50)', 'float'], [1n, 'a', 0.5]);
    },
    point: (query, answer) => {
      const version = param(query, 'kmVersion');
      const all = [...points.keys()].filter(one => version === null || one === Number(version));
      const last = Math.max(...all);
      return give(answer, ['bigint', 'binary(10)'], ...(all.length > 0 ? [[BigInt(last), points.get(last)!]] : []));
    },
    'set-point-fenced': query => {
      fence(query);
      points.set(Number(param(query, 'kmVersion')), param(query, 'kmLsn') as Uint8Array);
      pointed.push(Number(param(query, 'kmToken')));
    },
    bookmark: (_query, answer) => give(answer, ['bigint', 'bigint'], ...(kept ? [kept] : [])),
    'set-bookmark-fenced': query => {
      fence(query);
      kept = [BigInt(String(param(query, 'kmVersion'))), BigInt(String(param(query, 'kmEpoch')))];
    },
    'take-lead': async (query, answer) => {
      const owner = String(param(query, 'kmOwner'));
      const isFree = state.endsAt <= Date.now() || state.owner === owner;
      if (isFree) {
        state.owner = owner;
        state.token++;
        state.endsAt = Date.now() + Number(param(query, 'kmLeaseMs'));
      }
      await give(
        answer,
        ['nvarchar(200)', 'bigint', 'bigint', 'nvarchar(1000)', 'bit'],
        [state.owner, BigInt(state.token), BigInt(state.endsAt - Date.now()), state.mark, isFree],
      );
    },
    'renew-lead': async (query, answer) => {
      const isMine = Number(param(query, 'kmToken')) === state.token;
      if (isMine) state.endsAt = Date.now() + Number(param(query, 'kmLeaseMs'));
      await give(answer, ['int'], [isMine ? 1 : 0]);
    },
  };
  const fake = await fakeServer(scripts);
  /** A process that is not here leads, and has settled up to this version: each has the LSN ten above. */
  const elsewhere = (to: number): void => {
    const mark = JSON.parse(String(state.mark)) as { version: number; epoch: number };
    mark.version = to;
    mark.epoch++;
    points.set(to, lsn(to + 10));
    kept = [BigInt(to), BigInt(mark.epoch)];
    Object.assign(state, { token: state.token + 10, owner: 'elsewhere', endsAt: Date.now() + 60_000 });
    Object.assign(state, { mark: JSON.stringify(mark), max: to + 10 });
  };
  return { fake, state, pointed, elsewhere, version: () => Number(kept?.[0]) };
}

function reading(fake: FakeServer): Reading {
  const options = parseOptions({ url: 'mssql://127.0.0.1/shop' }, 'io.db');
  const resource = new MssqlResource(fake.driver(), options, contextOf('/nowhere'));
  onTestFinished(() => resource.close());
  const read = { table: 't', from: 'cdc', pollMs: { min: 1, max: 5 }, leader: { leaseMs: 600 } };
  return new Reading(resource.source(read) as SourceHalf<ChangeRecord>);
}

test('leads in turn: each goes on with the next number, and points of a former leader are refused', async () => {
  const { fake, state, pointed, elsewhere, version } = await captured();
  let leader = reading(fake);
  await leader.until(records => records.some(one => one.operation === 'RESYNC_END'));
  let standby = reading(fake);
  const all = [leader];
  for (let turn = 1; turn <= 3; turn++) {
    const given = leader.changes.length;
    state.max += 5;
    await leader.until(() => leader.changes.length >= given + 5);
    await waitFor(() => version() === 5 * turn);
    await leader.stop();
    all.push(standby);
    await waitFor(() => standby.half.waiting?.() === undefined);
    leader = standby;
    standby = reading(fake);
  }
  state.max += 1;
  await leader.until(() => leader.changes.length === 1);
  expect(all.flatMap(one => one.changes.map(change => change.versionId))).toEqual(
    Array.from({ length: 16 }, (_, i) => i + 1),
  );
  expect(all.flatMap(one => one.resyncs)).toHaveLength(2);
  const epochs = all.map(one => one.records.at(-1)!.epoch);
  expect(epochs).toEqual([...new Set(epochs)].toSorted((a, b) => a - b));
  await waitFor(() => version() === 16);
  expect(pointed).toEqual(pointed.toSorted((a, b) => a - b));
  expect(new Set(pointed).size).toBe(4);
  await standby.stop();
  // Another process takes it over without this one knowing, and comes further.
  elsewhere(16);
  await waitFor(() => leader.half.waiting?.() === 'not the leader');
  elsewhere(30);
  // What this one counted when it led is not taken for the end of the table.
  state.max = 41;
  state.endsAt = 0;
  await leader.until(records => records.at(-1)!.versionId === 31);
  expect(leader.resyncs).toEqual([]);
  await leader.stop();
});
