/** PRELOGIN: what both sides can, and whether they encrypt (reference 3.2, 3.3). */
import { TdsFault } from './bytes.ts';

export const ENCRYPT = { off: 0x00, on: 0x01, unsupported: 0x02, required: 0x03 } as const;

const OPTION = { version: 0, encryption: 1, instance: 2, thread: 3, mars: 4, end: 0xff } as const;
const OPTION_BYTES = 5;
/** SQL Server 2022. */
const VERSION = Buffer.from([16, 0, 0x10, 0x00, 0, 0]);

/** The byte of the client's wish. */
export function readPrelogin(payload: Buffer): number {
  for (let at = 0; payload[at] !== OPTION.end; at += OPTION_BYTES) {
    if (at + OPTION_BYTES > payload.length) throw new TdsFault('a prelogin without an end');
    const from = payload.readUInt16BE(at + 1);
    const length = payload.readUInt16BE(at + 3);
    if (from + length > payload.length) throw new TdsFault('an option outside of its prelogin');
    if (payload[at] === OPTION.encryption && length === 1) return payload[from]!;
  }
  return ENCRYPT.unsupported;
}

/** The server's answer, with its byte of encryption. */
export function preloginAnswer(encryption: number): Buffer {
  const options: readonly (readonly [number, Buffer])[] = [
    [OPTION.version, VERSION],
    [OPTION.encryption, Buffer.from([encryption])],
    [OPTION.instance, Buffer.from([0])],
    [OPTION.thread, Buffer.alloc(0)],
    [OPTION.mars, Buffer.from([0])],
  ];
  const head = Buffer.alloc(options.length * OPTION_BYTES + 1, OPTION.end);
  let from = head.length;
  for (const [index, [token, data]] of options.entries()) {
    head[index * OPTION_BYTES] = token;
    head.writeUInt16BE(from, index * OPTION_BYTES + 1);
    head.writeUInt16BE(data.length, index * OPTION_BYTES + 3);
    from += data.length;
  }
  return Buffer.concat([head, ...options.map(([, data]) => data)]);
}
