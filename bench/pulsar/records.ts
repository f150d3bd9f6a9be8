/** Real flights as JSON, as examples/pulsar sends them. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface Row {
  readonly origin: string;
  readonly destination: string;
  readonly delay: number;
  readonly distance: number;
}

let made: readonly Buffer[] | undefined;

/** One payload a flight, some 80 bytes each; all 20,000 of the table. */
export function records(): readonly Buffer[] {
  if (made) return made;
  const resolved = import.meta.resolve('vega-datasets');
  const rows = JSON.parse(readFileSync(fileURLToPath(new URL('../data/flights-20k.json', resolved)), 'utf8')) as Row[];
  made = rows.map(({ origin, destination, delay, distance }, seq) =>
    Buffer.from(JSON.stringify({ seq, origin, destination, delay, distance })),
  );
  return made;
}

/** Of the first so many, over and over. */
export function bytesOf(messages: number): number {
  const all = records();
  let bytes = 0;
  for (let n = 0; n < messages; n++) bytes += all[n % all.length]!.length;
  return bytes;
}
