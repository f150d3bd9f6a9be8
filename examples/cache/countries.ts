/** The source of truth: slow, and it counts how often it is asked. A real one would be a database. */
import { setTimeout as after } from 'node:timers/promises';

export interface Country {
  readonly code: string;
  readonly name: string;
  readonly population: number;
}

const COUNTRIES: readonly Country[] = [
  { code: 'AT', name: 'Austria', population: 9_200_000 },
  { code: 'CH', name: 'Switzerland', population: 9_000_000 },
  { code: 'DE', name: 'Germany', population: 83_500_000 },
  { code: 'TR', name: 'Türkiye', population: 85_700_000 },
];

/** How long a query takes. */
const QUERY_MS = 100;

export async function findCountry(code: string): Promise<Country | null> {
  await after(QUERY_MS);
  return COUNTRIES.find(country => country.code === code) ?? null;
}

export async function allCountries(): Promise<readonly Country[]> {
  await after(QUERY_MS);
  return COUNTRIES;
}
