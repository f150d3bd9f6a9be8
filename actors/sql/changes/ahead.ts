/**
 * Pages one after the other, the next asked for while the one before is given away: the database works meanwhile. At most one is
 * asked ahead, and it counts for nothing before it is taken: whoever takes it looks at what it says as if it came just now.
 */
export interface AheadNeeds<Cursor, Page> {
  readonly ask: (after: Cursor) => Promise<Page>;
  /** Counts connections to what may be another database: a page of before is asked for again. */
  readonly connection: () => number;
  readonly endOfTurn: (fn: () => void) => void;
}

interface Answered<Page> {
  readonly page: Page;
  readonly connection: number;
}

export class Ahead<Cursor, Page> {
  readonly #needs: AheadNeeds<Cursor, Page>;
  #asked: Promise<Answered<Page>> | null = null;

  constructor(needs: AheadNeeds<Cursor, Page>) {
    this.#needs = needs;
  }

  /** Asks for the page that `take` is to give next. Resolves when it is sent for: who is given a page may keep the thread. */
  begin(after: Cursor): Promise<void> {
    this.#asked = this.#ask(after);
    this.#asked.catch(() => undefined); // told by `take`
    return new Promise(resolve => this.#needs.endOfTurn(resolve));
  }

  /** The page asked ahead, or one that is asked for now. Rejects as `ask` does. */
  async take(after: Cursor): Promise<Page> {
    const asked = this.#asked;
    this.#asked = null;
    const answered = await asked;
    if (answered?.connection === this.#needs.connection()) return answered.page;
    return this.#needs.ask(after);
  }

  /** Resolves when nothing is under way any more; what was asked ahead is dropped. */
  async end(): Promise<void> {
    const asked = this.#asked;
    this.#asked = null;
    await asked?.catch(() => undefined);
  }

  async #ask(after: Cursor): Promise<Answered<Page>> {
    const page = await this.#needs.ask(after);
    return { page, connection: this.#needs.connection() };
  }
}
