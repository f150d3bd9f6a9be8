/** The I/O actor on SQL Server: as any other, and its sources may read by CDC. */
import type { IoContext, IoMetric, IoReply, IoResource, SourceHalf } from '../../../runtime/index.ts';
import { parseRead, type SqlOptions } from '../options.ts';
import { SqlResource } from '../resource.ts';
import type { MssqlDriver } from './driver.ts';

export class MssqlResource implements IoResource {
  readonly #driver: MssqlDriver;
  readonly #options: SqlOptions;
  readonly #context: IoContext;
  readonly #resource: SqlResource;
  /** By consumer and table, so that a second reader of the same name is refused. */
  readonly #captured = new Map<string, SqlResource>();

  constructor(driver: MssqlDriver, options: SqlOptions, context: IoContext) {
    this.#driver = driver;
    this.#options = options;
    this.#context = context;
    this.#resource = new SqlResource(driver, options, context);
  }

  handleBatch(asks: readonly unknown[], signal: AbortSignal): Promise<readonly IoReply[]> {
    return this.#resource.handleBatch(asks, signal);
  }

  source(read: Record<string, unknown>): SourceHalf {
    const { from, table, consumer = this.#context.name } = parseRead(read, `read of ${this.#context.name}`);
    if (from !== 'cdc') return this.#resource.source(read);
    const reader = `${consumer} ${table}`.toLowerCase();
    let resource = this.#captured.get(reader);
    if (!resource) {
      resource = new SqlResource(this.#driver.captured(table, consumer), this.#options, this.#context);
      this.#captured.set(reader, resource);
    }
    return resource.source(read);
  }

  probe(): Promise<void> {
    return this.#resource.probe();
  }

  metrics(): readonly IoMetric[] {
    return this.#driver.metrics();
  }

  close(): Promise<void> {
    return this.#resource.close();
  }
}
