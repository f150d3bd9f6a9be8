/** Tables that are asked about whenever another is, so that they are in its call, as sources of theirs would be. */
import type { ChangeItem } from '../../../actors/sql/contract.ts';
import type { MssqlDriver } from '../../../actors/sql/mssql/driver.ts';
import type { PageRequest } from '../../../actors/sql/ops.ts';

export class Companion {
  readonly changes: ChangeItem[] = [];
  /** What it was told in place of changes: codes, with the reason of those that are lost. */
  readonly told: string[] = [];
  /** It asks from the same position again and again. */
  isHeld = false;
  #version: number | null = null;
  #began: number | null | undefined;
  #isBusy = false;
  readonly #table: string;
  readonly #driver: Pick<MssqlDriver, 'changes' | 'tracked'>;

  constructor(table: string, driver: Pick<MssqlDriver, 'changes' | 'tracked'>) {
    this.#table = table;
    this.#driver = driver;
  }

  /** Changes from now on are told. */
  get isReading(): boolean {
    return this.#version !== null;
  }

  join(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    void this.#look().then(() => {
      this.#isBusy = false;
    });
  }

  async #look(): Promise<void> {
    try {
      if (this.#version === null)
        ({ current: this.#version, began: this.#began } = await this.#driver.tracked(this.#table));
      else await this.#read(this.#version);
    } catch (error) {
      const { code, message } = error as { code: string; message: string };
      this.told.push(code === 'TRACKING_LOST' ? (/\(([\w-]+)\)$/.exec(message)?.[1] ?? code) : code);
      this.#version = null;
    }
  }

  async #read(version: number): Promise<void> {
    const after = { version, pk: null };
    const page = await this.#driver.changes({ table: this.#table, after, baseline: version, epoch: 1, options: {} });
    if (page.began !== this.#began) {
      this.told.push('truncated');
      this.#version = null;
      return;
    }
    if (this.isHeld) return;
    this.changes.push(...page.changes);
    this.#version = page.next.version;
  }
}

/** From now on these are in every call of the driver about others. */
export function accompany(driver: MssqlDriver, tables: readonly string[]): ReadonlyMap<string, Companion> {
  const changes = driver.changes.bind(driver);
  const tracked = driver.tracked.bind(driver);
  const company = new Map(tables.map(table => [table, new Companion(table, { changes, tracked })]));
  driver.changes = (request: PageRequest) => {
    const page = changes(request);
    for (const one of company.values()) one.join();
    return page;
  };
  return company;
}
