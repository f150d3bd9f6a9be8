/** Batches as lists of statements. What is not known is refused as SQL Server refuses what is no T-SQL (102). */
import { parseColumn, parseTable } from './parse-definition.ts';
import { parseExpression } from './parse-expression.ts';
import { parseHints, parseItem, parseRow, parseSelect, parseSources, parseTop } from './parse-select.ts';
import { TokenReader } from './reader.ts';
import type { Action, Assignment, Batch, ColumnDefinition, Expression, Item, Statement } from './syntax.ts';

const known = new Map<string, Batch>();
const KEPT = 2000;

/** Throws 102. */
export function parseBatch(sql: string): Batch {
  let batch = known.get(sql);
  if (!batch) {
    const reader = new TokenReader(sql);
    const statements: Statement[] = [];
    while (reader.takeSign(';'));
    while (reader.token.kind !== 'end') statements.push(parseStatement(reader));
    batch = statements;
    if (known.size >= KEPT) known.clear();
    known.set(sql, batch);
  }
  return batch;
}

function parseStatement(reader: TokenReader): Statement {
  const from = reader.token.at;
  const action = parseAction(reader);
  const text = reader.sql.slice(from, reader.endBefore);
  while (reader.takeSign(';'));
  return { ...action, text };
}

function parseAction(reader: TokenReader): Action {
  if (reader.isWord('select')) return { kind: 'select', select: parseSelect(reader) };
  if (reader.takeWords('with', 'change_tracking_context')) {
    const context = reader.inBrackets(() => parseExpression(reader));
    return parseWrite(reader, context);
  }
  if (reader.isWord('insert', 'update', 'delete')) return parseWrite(reader, null);
  if (reader.takeWords('declare')) return parseDeclare(reader);
  if (reader.takeWords('set')) return parseSet(reader);
  if (reader.takeWords('if')) return parseIf(reader);
  if (reader.takeWords('begin', 'transaction') || reader.takeWords('begin', 'tran')) return { kind: 'begin' };
  if (reader.takeWords('begin')) return parseBlock(reader);
  if (reader.takeWords('commit')) return ended(reader, 'commit');
  if (reader.takeWords('rollback')) return ended(reader, 'rollback');
  if (reader.takeWords('checkpoint')) return { kind: 'checkpoint' };
  if (reader.takeWords('return')) return { kind: 'return' };
  if (reader.takeWords('throw')) return parseThrow(reader);
  if (reader.takeWords('exec') || reader.takeWords('execute')) return parseExecute(reader);
  if (reader.takeWords('create', 'table'))
    return { kind: 'create-table', name: reader.names(), table: parseTable(reader) };
  if (reader.takeWords('create', 'schema')) return { kind: 'create-schema', name: reader.name() };
  if (reader.takeWords('drop', 'table')) {
    const ifExists = reader.takeWords('if', 'exists');
    return { kind: 'drop-table', names: reader.list(() => reader.names()), ifExists };
  }
  if (reader.takeWords('truncate', 'table')) return { kind: 'truncate', table: reader.names() };
  if (reader.takeWords('alter', 'table')) return parseAlter(reader);
  if (reader.takeWords('alter', 'database')) return parseAlterDatabase(reader);
  throw reader.wrong();
}

function ended(reader: TokenReader, kind: 'commit' | 'rollback'): Action {
  if (!reader.takeWords('transaction')) reader.takeWords('tran');
  return { kind };
}

// ── writes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function parseWrite(reader: TokenReader, context: Expression | null): Action {
  if (reader.takeWords('insert')) return parseInsert(reader, context);
  if (reader.takeWords('update')) return parseUpdate(reader, context);
  if (reader.takeWords('delete')) return parseDelete(reader, context);
  throw reader.wrong();
}

function parseTarget(reader: TokenReader): string[] {
  return reader.token.kind === 'variable' ? [reader.next().lower] : reader.names();
}

function parseOutput(reader: TokenReader): Item[] | null {
  return reader.takeWords('output') ? reader.list(() => parseItem(reader)) : null;
}

function parseInsert(reader: TokenReader, context: Expression | null): Action {
  reader.takeWords('into');
  const table = parseTarget(reader);
  parseHints(reader);
  const columns = reader.isSign('(') ? reader.inBrackets(() => reader.list(() => reader.name())) : null;
  const output = parseOutput(reader);
  const rows = reader.takeWords('values')
    ? { kind: 'values' as const, rows: reader.list(() => parseRow(reader)) }
    : parseSelect(reader);
  return { kind: 'insert', context, table, columns, rows, output };
}

function parseUpdate(reader: TokenReader, context: Expression | null): Action {
  const target = parseTarget(reader);
  const hints = parseHints(reader);
  reader.mustWords('set');
  const set = reader.list((): Assignment => {
    const column = reader.names().at(-1)!;
    reader.mustSign('=');
    return { column, value: parseExpression(reader) };
  });
  const output = parseOutput(reader);
  const from = reader.takeWords('from') ? parseSources(reader) : [];
  const where = reader.takeWords('where') ? parseExpression(reader) : null;
  return { kind: 'update', context, target, hints, set, from, where, output };
}

function parseDelete(reader: TokenReader, context: Expression | null): Action {
  const top = parseTop(reader);
  reader.takeWords('from');
  const target = parseTarget(reader);
  const hints = parseHints(reader);
  const output = parseOutput(reader);
  const from = reader.takeWords('from') ? parseSources(reader) : [];
  const where = reader.takeWords('where') ? parseExpression(reader) : null;
  return { kind: 'delete', context, top, target, hints, from, where, output };
}

// ── the rest ───────────────────────────────────────────────────────────────────────────────────────────────────────

function parseDeclare(reader: TokenReader): Action {
  if (reader.ahead(1).lower === 'table') {
    const name = reader.next().lower;
    reader.next();
    return { kind: 'declare-table', name, table: parseTable(reader) };
  }
  const variables = reader.list(() => {
    if (reader.token.kind !== 'variable') throw reader.wrong();
    const name = reader.next().lower;
    reader.takeWords('as');
    const type = reader.type();
    return { name, type, value: reader.takeSign('=') ? parseExpression(reader) : null };
  });
  return { kind: 'declare', variables };
}

function parseSet(reader: TokenReader): Action {
  if (reader.token.kind === 'variable') {
    const name = reader.next().lower;
    reader.mustSign('=');
    return { kind: 'set-variable', name, value: parseExpression(reader) };
  }
  if (reader.takeWords('transaction', 'isolation', 'level')) {
    let value = reader.name().toLowerCase();
    if (value === 'read' || value === 'repeatable') value += ` ${reader.name().toLowerCase()}`;
    return { kind: 'set-option', option: 'isolation', table: null, value };
  }
  const option = reader.name().toLowerCase();
  const table = option === 'identity_insert' ? reader.names() : null;
  const sign = reader.takeSign('-') ? '-' : '';
  return { kind: 'set-option', option, table, value: `${sign}${reader.next().lower}` };
}

function parseIf(reader: TokenReader): Action {
  const when = parseExpression(reader);
  const action = parseStatement(reader);
  return { kind: 'if', when, action, otherwise: reader.takeWords('else') ? parseStatement(reader) : null };
}

function parseBlock(reader: TokenReader): Action {
  const statements: Statement[] = [];
  while (!reader.takeWords('end')) statements.push(parseStatement(reader));
  return { kind: 'block', statements };
}

function parseThrow(reader: TokenReader): Action {
  const [number, message, state] = reader.list(() => parseExpression(reader));
  if (!number || !message || !state) throw reader.wrong();
  return { kind: 'throw', number, message, state };
}

function parseExecute(reader: TokenReader): Action {
  const procedure = reader.names().join('.').toLowerCase();
  const isEnd = reader.token.kind === 'end' || reader.isSign(';');
  const args = isEnd
    ? []
    : reader.list(() => {
        const isNamed = reader.token.kind === 'variable' && reader.ahead(1).text === '=';
        const name = isNamed ? reader.next().lower : null;
        if (isNamed) reader.next();
        return { name, value: parseExpression(reader) };
      });
  return { kind: 'execute', procedure, args };
}

function parseAlter(reader: TokenReader): Action {
  const table = reader.names();
  if (reader.takeWords('enable', 'change_tracking')) {
    const columns =
      reader.takeWords('with') &&
      reader.inBrackets(() => {
        reader.mustWords('track_columns_updated');
        reader.mustSign('=');
        return isOn(reader);
      });
    return { kind: 'track', table, columns };
  }
  if (reader.takeWords('disable', 'change_tracking')) return { kind: 'untrack', table };
  if (reader.takeWords('drop', 'column')) return { kind: 'drop-column', table, column: reader.name() };
  if (reader.takeWords('alter', 'column')) return { kind: 'alter-column', table, column: parseColumn(reader) };
  reader.mustWords('add');
  return { kind: 'add-columns', table, columns: reader.list((): ColumnDefinition => parseColumn(reader)) };
}

function parseAlterDatabase(reader: TokenReader): Action {
  reader.mustWords('current', 'set');
  if (reader.takeWords('allow_snapshot_isolation')) return { kind: 'allow-snapshots', on: isOn(reader) };
  reader.mustWords('change_tracking');
  reader.mustSign('=');
  const on = isOn(reader);
  let minutes = 2 * 24 * 60;
  let cleans = true;
  if (on && reader.takeSign('(')) {
    reader.list(() => {
      const option = reader.name().toLowerCase();
      reader.mustSign('=');
      if (option === 'auto_cleanup') cleans = isOn(reader);
      else if (option === 'change_retention') {
        const count = reader.number();
        const unit = reader.name().toLowerCase();
        const factor = { minutes: 1, hours: 60, days: 24 * 60 }[unit];
        if (factor === undefined) throw reader.wrong();
        minutes = count * factor;
      } else throw reader.wrong();
    });
    reader.mustSign(')');
  }
  return { kind: 'track-database', on, minutes, cleans };
}

function isOn(reader: TokenReader): boolean {
  if (reader.takeWords('on')) return true;
  reader.mustWords('off');
  return false;
}
