/**
 * A table read by CDC (S4), for one source: every change, in the order of its commit, with the row as it was and became.
 *
 * A position is an LSN of ten bytes, and a version is a number below 2⁵³, so versions are counted: each change has the number
 * of the one before it and one. Change tables are never altered, so counting from the same place gives the same numbers. That
 * place, a version with its LSN, is kept in `keymill_captured` whenever the bookmark is, and in quiet times its LSN moves on
 * with what was captured for other tables, or the clean-up would come past it (reference 1.10). A version whose LSN is not known
 * means that the table is read anew.
 *
 * A new capture instance is read from where it begins; the older one up to there.
 */
import { createHash } from 'node:crypto';
import { type Environment, KeymillError, type Log } from '../../../runtime/index.ts';
import { lost } from '../changes/lost.ts';
import type { ChangeItem, Operation, Row, SqlValue, TableInfo, Tracked } from '../contract.ts';
import type { Bookmark, ChangePage, Fence, RowPage, RowsRequest } from '../driver.ts';
import type { PageRequest } from '../ops.ts';
import { PAGE_ROWS } from './changes.ts';
import type { Command } from './command.ts';
import type { Answer } from './connection.ts';
import { numberOf } from './errors.ts';
import type { Table } from './names.ts';
import {
  CAPTURED_FIXED,
  type Capture,
  type CapturedLook,
  type Captures,
  capturedCommand,
  capturedLook,
  capturedRowsCommand,
  capturesCommand,
  capturesOf,
  type LsnCursor,
} from './statements/cdc.ts';

export interface CapturedNeeds {
  readonly table: string;
  readonly environment: Environment;
  readonly log: Log;
  readonly find: (name: string) => Promise<Table>;
  readonly forget: (name: string) => void;
  readonly ask: (command: Command) => Promise<Answer>;
  /** What is kept for a version, and for the last one where it is null. */
  readonly point: (name: string, version: number | null) => Promise<{ version: number; lsn: Uint8Array } | null>;
  /** False where none can be kept. */
  readonly setPoint: (name: string, version: number, lsn: Uint8Array, fence?: Fence) => Promise<boolean>;
}

const OPERATIONS: Readonly<Record<number, Operation>> = { 1: 'DELETE', 2: 'INSERT', 4: 'UPDATE' };
const BEFORE = 3;
const NO_OBJECT = 208;
const TRIES = 5;
/** In quiet times the LSN of the position is kept so often. */
const QUIET_MS = 30_000;
/** Versions whose place is known in memory: those of pages that are not settled yet. */
const PLACES = 10_000;
const ZERO = new Uint8Array(10);

export class Captured {
  readonly #needs: CapturedNeeds;
  readonly #places = new Map<number, LsnCursor>();
  /** The highest version given. */
  #version = 0;
  /** Whose LSN is kept. */
  #kept: number | null = null;
  #keptAt = Number.NEGATIVE_INFINITY;
  /** That of the lease under which it is read; its mark is the bookmark's to write. */
  #fence: Fence | undefined;
  #captures: Promise<Captures> | null = null;

  constructor(needs: CapturedNeeds) {
    this.#needs = needs;
  }

  async describe(): Promise<TableInfo> {
    return this.#needs.find(this.#needs.table);
  }

  async tracked(): Promise<Tracked> {
    const { look } = await this.#rows(null, 1, {});
    // A mark is never above what is kept beside the bookmark, perhaps by another replica since.
    const kept = await this.#needs.point(await this.#name(), null);
    this.#version = Math.max(this.#version, kept?.version ?? 0);
    return { current: this.#version, minValid: 0, incarnation: incarnationOf(look) };
  }

  /** Throws TRACKING_LOST, TRACKING_OFF, SQL_IDENTIFIER. */
  async page({ after: { version }, epoch, options }: PageRequest): Promise<ChangePage> {
    const { table: name, find } = this.#needs;
    const cursor = await this.#placeOf(version);
    // An UPDATE is two rows.
    const limit = Math.max(2, options.pageSize ?? PAGE_ROWS);
    for (let tries = 1; ; tries++) {
      const table = await find(name);
      const captures = await this.#instances(table);
      const { capture, until } = instanceFor(captures, cursor);
      const wanted = { cursor, until, limit };
      const { command, columns } = capturedCommand(table, captures, capture, options, wanted);
      const answer = await this.#askOrLookAgain(command, tries);
      const look = answer && capturedLook(answer.sets[0]?.rows[0] ?? []);
      if (!look || look.stamp !== captures.stamp) {
        this.#lookAgain(tries);
        continue;
      }
      const rows = answer.sets.length > 2 ? answer.sets[1]!.rows : [];
      const again = answer.sets.at(-1)!.rows[0]?.[0];
      for (const min of [look.min, again instanceof Uint8Array ? again : null]) refuse(table, cursor, min);
      return this.#pageOf(table, capture, columns, rows, { version, epoch, cursor, until, look, limit });
    }
  }

  async rows({ after, options }: RowsRequest): Promise<RowPage & Tracked> {
    const limit = options.pageSize ?? PAGE_ROWS;
    const { table, look, columns, given } = await this.#rows(after, limit, options);
    if (after === null) this.#remember(this.#version, { lsn: look.max ?? look.min ?? ZERO, within: null });
    const rows = given.map(row => {
      const data: Row = Object.fromEntries(columns.map((column, i) => [column.name, row[i]!]));
      return { pk: Object.fromEntries(table.key.map(name => [name, data[name]!])), data };
    });
    return {
      current: this.#version,
      minValid: 0,
      incarnation: incarnationOf(look),
      rows,
      next: given.length < limit ? null : given.at(-1)!.slice(0, table.key.length),
    };
  }

  /** Keeps the LSN of a version whose bookmark is about to be set. */
  async keep({ version }: Pick<Bookmark, 'version'>, fence?: Fence): Promise<void> {
    this.#fence = fence && { lease: fence.lease, token: fence.token };
    const place = this.#places.get(version);
    if (!place || place.within !== null) return;
    const { setPoint, environment } = this.#needs;
    if (!(await setPoint(await this.#name(), version, place.lsn, this.#fence))) return;
    this.#kept = version;
    this.#keptAt = environment.clock.now();
    for (const one of this.#places.keys()) if (one < version) this.#places.delete(one);
  }

  // ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #pageOf(
    table: Table,
    capture: Capture,
    columns: readonly { readonly name: string }[],
    rows: readonly (readonly SqlValue[])[],
    at: {
      readonly version: number;
      readonly epoch: number;
      readonly cursor: LsnCursor;
      readonly until: Uint8Array | null;
      readonly look: CapturedLook;
      readonly limit: number;
    },
  ): Promise<ChangePage> {
    const { version, epoch, cursor, until, look, limit } = at;
    const isFull = rows.length === limit;
    // The first half of an UPDATE comes again with its second.
    const given = isFull && Number(rows.at(-1)![3]) === BEFORE ? rows.slice(0, -1) : rows;
    const changes: ChangeItem[] = [];
    let before: Row | null = null;
    let last = version;
    let place = cursor;
    for (const row of given) {
      const [lsn, commandId, seqval, operation, mask, time] = row;
      place = {
        lsn: lsn as Uint8Array,
        within: { command: Number(commandId), seqval: seqval as Uint8Array, operation: Number(operation) },
      };
      const image = Object.fromEntries(columns.map((column, i) => [column.name, row[CAPTURED_FIXED + i]!]));
      if (Number(operation) === BEFORE) {
        before = image;
        continue;
      }
      const told = OPERATIONS[Number(operation)]!;
      const old = told === 'DELETE' ? image : told === 'UPDATE' ? before : null;
      before = null;
      changes.push({
        table: table.table,
        versionId: ++last,
        epoch,
        operation: told,
        pk: Object.fromEntries(table.key.map(name => [name, image[name]!])),
        data: told === 'DELETE' ? null : image,
        changed: told === 'UPDATE' && mask instanceof Uint8Array ? changedBy(mask, capture) : null,
        captureTime: time === null || time === undefined ? look.wall : Number(time),
        context: null,
        before: old,
        after: told === 'DELETE' ? null : image,
      });
    }
    if (!isFull) place = { lsn: upTo(until, look, place), within: null };
    // The older instance is read up to where the newer begins: then that is read on.
    const isLast = !isFull && (until === null || isBelow(place.lsn, decremented(until)));
    this.#version = Math.max(this.#version, last);
    this.#remember(last, place);
    if (isLast && changes.length === 0) await this.#keepQuiet(last, place.lsn);
    return {
      current: Math.max(this.#version, version + look.waiting),
      minValid: 0,
      incarnation: incarnationOf(look),
      changes,
      next: { version: last, pk: isLast ? null : [] },
      isLast,
    };
  }

  async #rows(after: readonly SqlValue[] | null, limit: number, options: RowsRequest['options']) {
    const { table: name, find } = this.#needs;
    for (let tries = 1; ; tries++) {
      const table = await find(name);
      const captures = await this.#instances(table);
      const { command, columns } = capturedRowsCommand(table, captures, captures.all.at(-1)!, options, {
        after,
        limit,
      });
      const answer = await this.#askOrLookAgain(command, tries);
      const look = answer && capturedLook(answer.sets[0]?.rows[0] ?? []);
      if (look && look.stamp === captures.stamp) {
        refuse(table, null, look.min);
        return { table, look, columns, given: answer.sets[1]?.rows ?? [] };
      }
      this.#lookAgain(tries);
    }
  }

  async #askOrLookAgain(command: Command, tries: number): Promise<Answer | null> {
    try {
      return await this.#needs.ask(command);
    } catch (error) {
      const isOfSchema =
        error instanceof KeymillError &&
        numberOf(error) > 0 &&
        ['SQL_IDENTIFIER', 'TABLE_UNKNOWN'].includes(error.code);
      if (!isOfSchema || tries === TRIES) throw error;
      return null;
    }
  }

  #lookAgain(tries: number): void {
    const { table, forget } = this.#needs;
    if (tries === TRIES)
      throw new KeymillError('SQL_UNAVAILABLE', `${table} changes while it is read`, { place: { at: table } });
    this.#captures = null;
    forget(table);
  }

  /** Throws TRACKING_OFF. */
  async #instances(table: Table): Promise<Captures> {
    this.#captures ??= this.#needs
      .ask(capturesCommand(table))
      .then(({ sets }) => capturesOf(table, sets[0]?.rows ?? []));
    let captures: Captures;
    try {
      captures = await this.#captures;
    } catch (error) {
      this.#captures = null;
      if (numberOf(error) !== NO_OBJECT) throw error;
      throw off(table, 'CDC is off for the database: EXEC sys.sp_cdc_enable_db');
    }
    if (captures.all.length > 0) {
      const captured = new Set(captures.all.at(-1)!.columns.map(column => column.name));
      const missing = table.key.filter(name => !captured.has(name));
      if (missing.length === 0) return captures;
      this.#captures = null;
      throw off(table, `its key is not captured (${missing.join(', ')}): make a capture instance with it`);
    }
    this.#captures = null;
    throw off(
      table,
      'it has no capture instance that may be seen: EXEC sys.sp_cdc_enable_table, GRANT SELECT ON SCHEMA::cdc',
    );
  }

  async #placeOf(version: number): Promise<LsnCursor> {
    const { table, point } = this.#needs;
    const known = this.#places.get(version);
    if (known) return known;
    const kept = await point(await this.#name(), version);
    if (kept === null) throw lost(table, 'incarnation', `the LSN of version ${version} is not known`);
    const place = { lsn: kept.lsn, within: null };
    this.#version = Math.max(this.#version, version);
    this.#kept = version;
    this.#remember(version, place);
    return place;
  }

  #remember(version: number, place: LsnCursor): void {
    this.#places.delete(version);
    this.#places.set(version, place);
    if (this.#places.size > PLACES) this.#places.delete(this.#places.keys().next().value!);
  }

  /** Nothing came, and the position moves all the same. */
  async #keepQuiet(version: number, lsn: Uint8Array): Promise<void> {
    const { environment, setPoint, log } = this.#needs;
    const now = environment.clock.now();
    if (this.#kept !== version || now - this.#keptAt < QUIET_MS) return;
    this.#keptAt = now;
    await setPoint(await this.#name(), version, lsn, this.#fence).catch((error: Error) => {
      log.warn({ table: this.#needs.table, err: error.message }, 'the position was not kept; tried again');
    });
  }

  async #name(): Promise<string> {
    const { schema, name } = await this.#needs.find(this.#needs.table);
    return `${schema}.${name}`;
  }
}

/** The instance that has what comes after the cursor, and where the next begins. */
export function instanceFor({ all }: Captures, { lsn }: LsnCursor): { capture: Capture; until: Uint8Array | null } {
  const newest = all.at(-1)!;
  const older = all.at(-2);
  // The first LSN that is wanted is above the cursor's: one below the start belongs to the older instance.
  if (!older || !isBelow(lsn, decremented(newest.startLsn))) return { capture: newest, until: null };
  return { capture: older, until: newest.startLsn };
}

/** Bits of the mask: that of ordinal 1 is the lowest of the last byte. */
export function changedBy(mask: Uint8Array, { columns }: Capture): string[] {
  return columns
    .filter(({ bit }) => ((mask[mask.length - 1 - (bit >> 3)] ?? 0) >> (bit & 7)) & 1)
    .map(column => column.name);
}

/** All up to there is read, as nothing more came. */
function upTo(until: Uint8Array | null, { max }: CapturedLook, { lsn }: LsnCursor): Uint8Array {
  const captured = max !== null && isBelow(lsn, max) ? max : lsn;
  if (until === null) return captured;
  const end = decremented(until);
  return isBelow(captured, end) ? captured : end;
}

function isBelow(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) < 0;
}

export function decremented(lsn: Uint8Array): Uint8Array {
  const less = new Uint8Array(lsn);
  for (let i = less.length - 1; i >= 0; i--) if (less[i]!-- !== 0) break;
  return less;
}

function incarnationOf({ databaseGuid, forkGuid, createDate }: CapturedLook): string {
  const parts = forkGuid === null ? ['made', createDate ?? ''] : ['fork', databaseGuid ?? '', forkGuid];
  return createHash('sha256')
    .update(['cdc', ...parts].join(' '))
    .digest('hex')
    .slice(0, 32);
}

/** Throws TRACKING_OFF where the instance may not be seen, TRACKING_LOST where changes after the cursor were cleaned up. */
function refuse(table: Table, cursor: LsnCursor | null, min: Uint8Array | null): void {
  if (min === null || min.every(byte => byte === 0))
    throw off(table, 'its capture instance may not be seen: GRANT SELECT on it, or its role to the user');
  if (cursor && isBelow(cursor.lsn, decremented(min)))
    throw lost(table.table, 'cleaned', 'captured changes after the position were cleaned up');
}

function off({ table }: Table, how: string): KeymillError {
  return new KeymillError('TRACKING_OFF', `changes of ${table} are not captured: ${how}`, { place: { at: table } });
}
