/** BSON payloads, by the npm package `bson`, which is loaded when the first one is made or read. */
import { createRequire } from 'node:module';

type Bson = Pick<typeof import('bson'), 'serialize' | 'deserialize'>;

const require = createRequire(import.meta.url);
let loaded: Bson | undefined;

function bson(): Bson {
  loaded ??= require('bson') as Bson;
  return loaded;
}

/** Throws for what is not a document: a plain object, whose dates, bytes and bigints (int64) are kept. */
export function bsonBytes(document: unknown): Uint8Array {
  if (typeof document !== 'object' || document === null || Array.isArray(document) || document instanceof Date)
    throw new TypeError('a BSON document is an object');
  return bson().serialize(document);
}

/** Bytes come as a Buffer, an int64 beyond 2^53 as `Long` of bson. Throws for what is no document. */
export function bsonDocument(bytes: Uint8Array): unknown {
  return bson().deserialize(bytes, { promoteBuffers: true });
}
