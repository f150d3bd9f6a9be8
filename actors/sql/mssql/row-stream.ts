/** Rows of one request, as they are asked for. */
import type { Request } from 'tedious';
import { asError } from '../../../runtime/index.ts';
import type { Row } from '../contract.ts';
import { type ColumnMetadata, type Reader, readerOf } from './values.ts';

/** What happens while a request runs. */
export interface Listener {
  columns?(columns: readonly ColumnMetadata[]): void;
  row?(values: readonly { readonly value: unknown }[]): void;
  /** What is held back by the reader needs no packets. */
  isHeld?(): boolean;
}

type StreamRequest = Pick<Request, 'pause' | 'resume' | 'cancel' | 'paused'>;

/** Rows of one request, with as many in memory as are asked for. */
export class RowStream {
  readonly #request: StreamRequest;
  readonly #done: Promise<void>;
  #names: readonly string[] = [];
  #readers: Reader[] = [];
  #rows: Row[] = [];
  #wanted = 0;
  #isEnded = false;
  #failure: unknown;
  #woken: () => void = () => undefined;

  constructor(start: (listener: Listener) => { readonly request: StreamRequest; readonly done: Promise<void> }) {
    const { request, done } = start({
      columns: columns => {
        this.#names = columns.map(column => column.colName);
        this.#readers = columns.map(readerOf);
      },
      row: values => this.#take(values),
      isHeld: () => this.#request.paused,
    });
    this.#request = request;
    this.#done = done.then(
      () => this.#end(undefined),
      error => this.#end(error),
    );
  }

  /** Fewer at the end. Rejects with what the server says, and SQL_UNAVAILABLE. */
  async next(rows: number): Promise<Row[]> {
    this.#wanted = rows;
    if (this.#rows.length < rows && !this.#isEnded) {
      this.#request.resume();
      await new Promise<void>(resolve => {
        this.#woken = resolve;
      });
    }
    if (this.#failure !== undefined) throw this.#failure;
    return this.#rows.splice(0, rows);
  }

  /** Cancels what is left. */
  async close(): Promise<void> {
    if (!this.#isEnded) this.#request.cancel();
    await this.#done;
  }

  #take(values: readonly { readonly value: unknown }[]): void {
    if (this.#failure !== undefined) return;
    try {
      const row: Row = {};
      for (let i = 0; i < this.#names.length; i++) row[this.#names[i]!] = this.#readers[i]!(values[i]!.value);
      this.#rows.push(row);
    } catch (error) {
      this.#failure = asError(error);
      this.#request.cancel();
    }
    if (this.#rows.length < this.#wanted) return;
    this.#request.pause();
    this.#woken();
  }

  #end(error: unknown): void {
    this.#isEnded = true;
    this.#failure ??= error;
    this.#woken();
  }
}
