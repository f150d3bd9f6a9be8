/** EXEC of the procedures that keymill and its tests call; others there are none of (2812). */
import { SqlError } from '../errors.ts';
import { bindings } from './bindings.ts';
import { captureDatabase, captureTable, uncaptureDatabase, uncaptureTable } from './capture.ts';
import { checkStatement } from './named.ts';
import { parseBatch } from './parse.ts';
import { TokenReader } from './reader.ts';
import type { Frame, Runner, Sink } from './runner.ts';
import type { Variables } from './session.ts';
import type { Statement } from './syntax.ts';
import { type Cell, typeOf } from './values.ts';

type Execute = Extract<Statement, { kind: 'execute' }>;

const TEXT = typeOf('nvarchar(max)');

export async function callProcedure(runner: Runner, statement: Execute, frame: Frame, sink: Sink): Promise<void> {
  const name = statement.procedure.replace(/^(sys|dbo)\./, '');
  if (name === 'sp_executesql') return executeSql(runner, statement, frame, sink);
  const { session } = runner;
  const given = new Map<string, string | null>();
  for (const [i, { name: of, value }] of statement.args.entries()) {
    const cell = await runner.value(value, TEXT, frame, sink);
    given.set(of ?? `@${i}`, cell === null ? null : String(cell));
  }
  const arg = (of: string, at: number): string | null => given.get(of) ?? given.get(`@${at}`) ?? null;
  const act = {
    sp_rename: () => {
      const parts = new TokenReader(arg('@objname', 0) ?? '').names();
      if ((arg('@objtype', 2) ?? '').toUpperCase() !== 'COLUMN')
        throw new SqlError(50_000, 'the test server: sp_rename of something else than a column', { class: 18 });
      session.definitions.renameColumn(
        session.catalog.table(parts.slice(0, -1)),
        parts.at(-1)!,
        arg('@newname', 1) ?? '',
      );
    },
    sp_cdc_enable_db: () => captureDatabase(session),
    sp_cdc_disable_db: () => uncaptureDatabase(session),
    sp_cdc_enable_table: () =>
      captureTable(session, {
        schema: arg('@source_schema', 0) ?? '',
        table: arg('@source_name', 1) ?? '',
        instance: arg('@capture_instance', 2),
        columns: arg('@captured_column_list', 6),
      }),
    sp_cdc_disable_table: () => uncaptureTable(session, arg('@capture_instance', 2) ?? ''),
  }[name as 'sp_rename'];
  if (!act) throw new SqlError(2812, `Could not find stored procedure '${statement.procedure}'.`, { state: 62 });
  await session.transaction.write(sink.signal);
  act();
  session.transaction.settle(true);
}

/** Its text runs with variables of its own, in the transaction of who calls it. */
async function executeSql(runner: Runner, { args }: Execute, frame: Frame, sink: Sink): Promise<void> {
  const [text, declaration, ...rest] = args;
  if (!text) throw new SqlError(201, "Procedure or function 'sp_executesql' expects parameter '@statement'.");
  const sql = String((await runner.value(text.value, TEXT, frame, sink)) ?? '');
  const declared = declaration ? String((await runner.value(declaration.value, TEXT, frame, sink)) ?? '') : '';
  const variables: Variables = new Map();
  const params = bindings(declared);
  checkStatement(sql, params);
  for (const [i, { name, type }] of params.entries()) {
    const given = rest.find(one => one.name === name) ?? (rest[i]?.name === null ? rest[i] : undefined);
    const cell: Cell = given ? await runner.value(given.value, type, frame, sink) : null;
    variables.set(name, { type, cell });
  }
  await runner.runAll(parseBatch(sql), { name: frame.name, variables, steps: 0 }, sink);
}
