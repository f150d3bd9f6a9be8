/** Pages of changes and of rows, each out of one call: see statements/pages.ts for what it does in which order. */
import { createHash } from 'node:crypto';
import { lost } from '../changes/lost.ts';
import type { ChangeItem, Operation, Row, SqlValue, Tracked } from '../contract.ts';
import type { ChangePage, RowPage, RowsRequest } from '../driver.ts';
import type { ChangeCursor, PageRequest } from '../ops.ts';
import { type Found, type Kind, Looks, type LooksNeeds, off } from './looks.ts';
import type { Table } from './names.ts';
import { type Look, lookCommand, lookOf, rowsCommand, type Selection, type Values } from './statements/ct.ts';
import { changesCommand, FIXED, type Page, type PageAnswer, pageAnswers, pageOf } from './statements/pages.ts';
import { type Column, isMasked } from './types.ts';

export const PAGE_ROWS = 1000;
/** Changes of one call for several tables: with more of them a table is read on by itself. */
const TOGETHER_ROWS = 10_000;
const OPERATIONS: Readonly<Record<string, Operation>> = { I: 'INSERT', U: 'UPDATE', D: 'DELETE' };

const PAGES: Kind<Page, PageAnswer> = { command: changesCommand, answers: pageAnswers };

/** A look, and rows of the table where they are asked for. */
interface OneAnswer {
  readonly look: Look;
  readonly rows: readonly Values[];
  readonly data: readonly Column[];
}

const ONE: Kind<Selection, OneAnswer> = {
  command: ([one]) => one!.command,
  answers: (sets, [one]) => [{ look: lookOf(sets), rows: sets[2]?.rows ?? [], data: one!.data }],
};

export class Changes {
  readonly #pages: Looks<Page, PageAnswer>;
  readonly #ones: Looks<Selection, OneAnswer>;

  constructor(needs: LooksNeeds) {
    this.#pages = new Looks(needs, PAGES);
    this.#ones = new Looks(needs, ONE);
  }

  /** Throws TRACKING_OFF, TABLE_UNKNOWN. */
  async tracked(name: string): Promise<Tracked> {
    const { answer } = await this.#ones.ask({
      name,
      isAlone: true,
      select: table => ({ command: lookCommand(table), data: [] }),
    });
    return trackedOf(answer.look);
  }

  /** With those of other tables that are asked for in this turn. Throws TRACKING_LOST, TRACKING_OFF, TABLE_UNKNOWN, SQL_IDENTIFIER. */
  async page({ table: name, after, baseline, epoch, options }: PageRequest): Promise<ChangePage> {
    const most = options.pageSize ?? PAGE_ROWS;
    const found = await this.#pages.ask({
      name,
      before: options.before,
      isAlone: after.pk !== null || options.before !== undefined,
      params: Object.keys(options.filter?.params ?? {}).length,
      select(table, how, together) {
        const limit = together === 1 ? most : Math.min(most, Math.ceil(TOGETHER_ROWS / together));
        return pageOf(table, options, { version: after.version, key: after.pk, baseline, limit }, how);
      },
    });
    return pageFrom(found, { after, baseline, epoch });
  }

  async rows({ table: name, after, options }: RowsRequest): Promise<RowPage & Tracked> {
    const limit = options.pageSize ?? PAGE_ROWS;
    const { table, answer } = await this.#ones.ask({
      name,
      before: options.before,
      isAlone: true,
      select: (found, how) => rowsCommand(found, options, { after, limit }, how),
    });
    const { look, rows: given, data } = answer;
    const rows = given.map(row => {
      const pk = keyOf(table, row, 0);
      return { pk, data: dataOf(pk, data, row, table.key.length) };
    });
    return { ...trackedOf(look), rows, next: given.length < limit ? null : given.at(-1)!.slice(0, table.key.length) };
  }
}

/** Throws TRACKING_LOST, TRACKING_OFF. */
function pageFrom(
  { table, answer }: Found<PageAnswer>,
  { after, baseline, epoch }: Pick<PageRequest, 'after' | 'baseline' | 'epoch'>,
): ChangePage {
  const { look, rows, again, page } = answer;
  const tracked = trackedOf(look);
  const { limit } = page.wanted;
  refuseInvalid(table.table, look, tracked.minValid, after);
  if (again) {
    const [minValid] = again;
    if (minValid === null || minValid === undefined) throw off(table);
    refuseInvalid(table.table, look, Number(minValid), after);
  }
  // Relative to a later version than was asked for: what was changed between is not in the mask.
  const isWhole = look.from <= baseline;
  const layout = new Layout(table, page.data, look, epoch, isWhole);
  const changes: ChangeItem[] = [];
  for (const row of rows) {
    const item = layout.item(row);
    if (item) changes.push(item);
  }
  const last = rows.at(-1);
  const version = last ? Number(last[0]) : after.version;
  // What is later than the look is given, and comes again: something between may not have been seen yet.
  const isLast = rows.length < limit || version > tracked.current;
  const next = isLast
    ? { version: tracked.current, pk: null }
    : { version, pk: last!.slice(FIXED, FIXED + table.key.length) };
  return { ...tracked, changes, next, isLast };
}

/** Of a look that saw the table. */
function trackedOf(look: Look): Tracked {
  const { current, minValid, began } = look;
  return { current, minValid: minValid!, incarnation: incarnationOf(look), began };
}

/** The life of the database; see LIFE. */
function incarnationOf({ databaseGuid, forkGuid, createDate }: Look): string {
  const parts = forkGuid === null ? ['made', createDate ?? ''] : ['fork', databaseGuid ?? '', forkGuid];
  return createHash('sha256').update(parts.join(' ')).digest('hex').slice(0, 32);
}

/** What rows of a page mean. */
class Layout {
  readonly #table: Table;
  readonly #data: readonly Column[];
  readonly #masked: readonly string[];
  readonly #look: Look;
  readonly #epoch: number;
  readonly #isMaskWhole: boolean;

  constructor(table: Table, data: readonly Column[], look: Look, epoch: number, isMaskWhole: boolean) {
    this.#table = table;
    this.#data = data;
    this.#masked = table.columns.filter(isMasked).map(column => column.name);
    this.#look = look;
    this.#epoch = epoch;
    this.#isMaskWhole = isMaskWhole;
  }

  /** Null where the row has gone meanwhile: it comes as a DELETE of a later version. */
  item(row: readonly SqlValue[]): ChangeItem | null {
    const [version, ownVersion, ownOperation, operation, mask, context, time, present] = row;
    const told = OPERATIONS[String(ownOperation ?? operation).trim()] ?? OPERATIONS[String(operation).trim()]!;
    const isGone = told === 'DELETE';
    if (!isGone && Number(present) === 0) return null;
    const pk = keyOf(this.#table, row, FIXED);
    return {
      table: this.#table.table,
      versionId: Number(ownVersion ?? version),
      epoch: this.#epoch,
      operation: told,
      pk,
      data: isGone ? null : dataOf(pk, this.#data, row, FIXED + this.#table.key.length),
      changed:
        told === 'UPDATE' && this.#isMaskWhole && typeof mask === 'string'
          ? this.#masked.filter((_, i) => mask[i] === '1')
          : null,
      captureTime: time === null || time === undefined ? this.#look.wall : Number(time),
      context: context instanceof Uint8Array ? textOfContext(context) : null,
    };
  }
}

function keyOf(table: Table, row: readonly SqlValue[], from: number): Row {
  const pk: Row = {};
  for (let i = 0; i < table.key.length; i++) pk[table.key[i]!] = row[from + i]!;
  return pk;
}

/** The key belongs to it too, so that it is the whole row. */
function dataOf(pk: Row, columns: readonly Column[], row: readonly SqlValue[], from: number): Row {
  const data: Row = { ...pk };
  for (let i = 0; i < columns.length; i++) data[columns[i]!.name] = row[from + i]!;
  return data;
}

/** Other programs may have put a binary(128) there. */
function textOfContext(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8').replace(/\0+$/, '');
}

/** Throws TRACKING_LOST: going on from here would pass over changes. */
function refuseInvalid(table: string, { current, began }: Look, minValid: number, after: ChangeCursor): void {
  const { version } = after;
  if (version > current)
    throw lost(table, 'went-back', `version ${version} was read, and the database is at ${current}`);
  const needed = after.pk === null ? version : version - 1;
  if (needed < minValid)
    throw lost(
      table,
      began !== null && needed < began ? 'truncated' : 'cleaned',
      `changes since version ${needed} are wanted, and they are kept since ${minValid}`,
    );
}
