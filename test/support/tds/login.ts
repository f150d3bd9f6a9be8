/** LOGIN7 and its answer (reference 3.4, 3.5). */
import { Reader, TdsFault, type Writer } from './bytes.ts';
import type { SqlError } from './errors.ts';
import {
  DONE,
  TOKEN,
  writeCollation,
  writeDatabase,
  writeDone,
  writeError,
  writeFeatures,
  writeInfo,
  writeLanguage,
  writeLoginAck,
  writePacketBytes,
  writeRouting,
} from './tokens.ts';

export interface Login {
  readonly user: string;
  readonly password: string;
  /** Empty for the user's own. */
  readonly database: string;
  /** Name of the client's machine. */
  readonly host: string;
  readonly app: string;
  /** What the client called the server. */
  readonly server: string;
  readonly library: string;
  readonly language: string;
  readonly isReadOnly: boolean;
  /** Of packets, as it asked for; 0 for none. */
  readonly packetBytes: number;
}

/** The texts that are pairs of place and number of chars, by where the pair stands. */
const PLACES = {
  host: 36,
  user: 40,
  password: 44,
  app: 48,
  server: 52,
  library: 60,
  language: 64,
  database: 68,
} as const;
const FIXED_BYTES = 94;
const HAS_EXTENSION = 0x10;
const READ_ONLY = 0x20;
const INTEGRATED = 0x80;

/** Throws a TdsFault also for the logins that this server does not know: of a domain, by token. */
export function readLogin(payload: Buffer): Login {
  if (payload.length < FIXED_BYTES || payload.readUInt32LE(0) !== payload.length)
    throw new TdsFault(`a login of ${payload.length} bytes`);
  if (payload[25]! & INTEGRATED) throw new TdsFault('a login of a domain');
  const bytesAt = (place: number): Buffer => {
    const reader = new Reader(payload);
    reader.at = payload.readUInt16LE(place);
    return reader.take(2 * payload.readUInt16LE(place + 2));
  };
  const textAt = (place: number): string => bytesAt(place).toString('utf16le');
  return {
    user: textAt(PLACES.user),
    password: Buffer.from(bytesAt(PLACES.password).map(unveiled)).toString('utf16le'),
    database: textAt(PLACES.database),
    host: textAt(PLACES.host),
    app: textAt(PLACES.app),
    server: textAt(PLACES.server),
    library: textAt(PLACES.library),
    language: textAt(PLACES.language),
    isReadOnly: (payload[26]! & READ_ONLY) !== 0,
    packetBytes: payload.readUInt32LE(8),
  };
}

/** Whether the answer may tell of features. */
export const asksForFeatures = (payload: Buffer): boolean => (payload[27]! & HAS_EXTENSION) !== 0;

/** Of a byte of a password. */
function unveiled(byte: number): number {
  const turned = byte ^ 0xa5;
  return ((turned << 4) | (turned >> 4)) & 0xff;
}

export interface Welcome {
  readonly database: string;
  readonly packetBytes: number;
  readonly before: number;
  readonly hasFeatures: boolean;
}

export function writeWelcome(writer: Writer, { database, packetBytes, before, hasFeatures }: Welcome): void {
  writeDatabase(writer, database, 'master');
  writeInfo(writer, 5701, `Changed database context to '${database}'.`);
  writeCollation(writer);
  writeLanguage(writer);
  writeInfo(writer, 5703, 'Changed language setting to us_english.');
  writeLoginAck(writer);
  writePacketBytes(writer, packetBytes, before);
  if (hasFeatures) writeFeatures(writer);
  writeDone(writer, TOKEN.done, DONE.final, 0, null);
}

export interface Route {
  readonly host: string;
  readonly port: number;
}

/** The login is well, and its connection is to be another. */
export function writeRerouted(writer: Writer, { host, port }: Route): void {
  writeLoginAck(writer);
  writeRouting(writer, host, port);
  writeDone(writer, TOKEN.done, DONE.final, 0, null);
}

export function writeRefusal(writer: Writer, error: SqlError): void {
  writeError(writer, error);
  writeDone(writer, TOKEN.done, DONE.error, 0, null);
}
