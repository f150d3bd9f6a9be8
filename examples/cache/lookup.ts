/** Looks countries up through the cache, on all hosts: whichever is asked, the source is asked once. */
import type { Cache, CacheEntry } from '../../actors/cache/index.ts';
import { defineActor } from '../../runtime/index.ts';
import { allCountries, type Country, findCountry } from './countries.ts';

export interface Lookup {
  readonly code: string;
  /** Spreads requests over the hosts; the key of a message is also what is kept in order. */
  readonly request: number;
}

export interface Answer {
  readonly country: Country | null;
  readonly from: CacheEntry['from'];
  readonly isStale: boolean;
  /** Of the host that answered. */
  readonly host: number;
  /** How often this host asked the source. */
  readonly loads: number;
}

let loads = 0;

export default defineActor<Lookup, Answer>({
  key: ({ request }) => request,
  // The host is ready when the common ones are at hand.
  async init(ctx) {
    await ctx.io<Cache>('cache').warmUp({
      countries: async cache => {
        for (const country of await allCountries())
          if (country.population > 50_000_000) await cache.getOrSet(`country:${country.code}`, () => country);
      },
    });
  },
  async handle({ code }, ctx) {
    const { value, from, isStale } = await ctx.io<Cache>('cache').getOrSetEntry(
      `country:${code}`,
      () => {
        loads++;
        return findCountry(code);
      },
      { tags: ['countries'] },
    );
    return { country: value, from, isStale, host: ctx.host, loads };
  },
});
