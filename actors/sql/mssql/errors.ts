/**
 * SQL Server's messages by number, and tedious' errors by code, as keymill's (reference sql-server-and-tds 1.4, 1.6, 3.13;
 * Microsoft's list of database engine events). What can be done about it is in the text where the code alone does not say it.
 */
import { asError, type ErrorClass, type ErrorCode, KeymillError } from '../../../runtime/index.ts';

interface Meaning {
  readonly code: ErrorCode;
  readonly class?: ErrorClass;
  readonly todo?: string;
}

const numbers = new Map<number, Meaning>();
const mean = (meaning: Meaning, of: string): void => {
  for (const number of of.split(' ')) numbers.set(Number(number), meaning);
};

// Lost against another transaction: made again, it may win.
mean({ code: 'SQL_UNAVAILABLE' }, '1205 1222 3960 3961 3966 41301 41302 41305 41325');
// Starting, recovering, failing over, shutting down, moving.
mean({ code: 'SQL_UNAVAILABLE' }, '4060 40197 40613 40143 40540 42108 42109 615 921 922 927 942 952 955 976 978 979');
mean({ code: 'SQL_UNAVAILABLE' }, '982 983 4221 6001 6002 6005 17142 17197 17830 18401 18451 35201 35202 35206 35250');
// Too much at once: memory, workers, locks, quotas of the cloud.
mean({ code: 'SQL_UNAVAILABLE', class: 'throttled' }, '40501 10928 10929 10936 49918 49919 49920 701 802 1204 8628');
mean({ code: 'SQL_UNAVAILABLE', class: 'throttled' }, '8645 8651 17809 40549 40550 40551 40552 40553 41839');
const VERSIONS = 'the row versions of the snapshot are gone: make tempdb larger, pages smaller';
mean({ code: 'SQL_UNAVAILABLE', todo: VERSIONS }, '3958 3967');
mean({ code: 'OUTPUT_FULL' }, '1101 1105 9002 40544');
mean({ code: 'STORE_READ_ONLY' }, '3906 3908');
mean({ code: 'SQL_CONSTRAINT' }, '2627 2601 547 515 8152 2628 8115 220 232 235 241 242 244 245 248 295 296 517 550');
mean({ code: 'SQL_CONSTRAINT' }, '1007 8114 8169 9420 13616');
mean({ code: 'SQL_TOO_LARGE' }, '511 1946 7139 8003 8621 8623 8631 8632');
mean({ code: 'SQL_IDENTIFIER' }, '207 4104 4924');
mean({ code: 'TABLE_UNKNOWN' }, '208 4701 4902');
const GRANT = 'grant it what the message names';
mean({ code: 'ACCESS_REFUSED', todo: GRANT }, '229 230 262 297 300 916 1088 2760 3704 4613 15151 15247 15562');
const LOGIN = 'check user, password, and that the login may connect to this database';
mean({ code: 'ACCESS_REFUSED', todo: LOGIN }, '18452 18456 18470 18486 18487 18488 4062 4063 4064 40532 40615');
const TRACK = 'turn change tracking on for the table, or read with track: true';
mean({ code: 'TRACKING_OFF', todo: TRACK }, '22105 22110 22114');
const PRIMARY = 'Change Tracking is on the primary only: leave readOnlyIntent out, or read CDC tables';
mean({ code: 'TRACKING_OFF', todo: PRIMARY }, '22117');
mean({ code: 'TABLE_NO_KEY' }, '22119 4997');
const SNAPSHOT = 'ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON, or set snapshot: false';
mean({ code: 'SQL_FAILED', class: 'fatal', todo: SNAPSHOT }, '3952');
// The statement itself: no retry mends it.
mean({ code: 'SQL_FAILED', class: 'fatal' }, '102 105 137 156 319 334 544 2812 8101 8102 10727 22101 22108 22109');

/** Certificates that are not what they should be, by Node's codes. */
const CERTIFICATE =
  /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY_LEAF|GET_CRL)|HOSTNAME_MISMATCH|INVALID_CA)/;

/** Nobody who cannot log in should try so often that the login is locked. */
const LOGINS = new Set([18452, 18456, 18470, 18486, 18487, 18488]);

/** Messages of the driver itself, raised by what it sends. */
export const BATCH_WAS_DONE = 51_001;
export const ROWS_EXPECTED = 51_002;
export const TRANSACTION_ENDED = 51_003;
export const WAS_FENCED = 51_004;
mean({ code: 'SQL_CONSTRAINT' }, String(ROWS_EXPECTED));
mean({ code: 'SQL_FAILED', class: 'fatal' }, String(TRANSACTION_ENDED));
mean({ code: 'SQL_FENCED' }, String(WAS_FENCED));

/** An error of SQL Server with its number, so that those who know what they sent can tell what it means. */
export class MssqlError extends KeymillError {
  /** 0 for what did not come from the server. */
  readonly number: number;

  constructor(number: number, code: ErrorCode, detail: string, options: ConstructorParameters<typeof KeymillError>[2]) {
    super(code, detail, options);
    this.number = number;
  }
}

interface Said {
  readonly number?: number;
  readonly class?: number;
  readonly state?: number;
  readonly code?: string;
  readonly cause?: unknown;
  readonly errors?: readonly unknown[];
}

/** Errors of keymill as they are. `at`: the server, without secrets. */
export function mssqlError(thrown: unknown, at: string): KeymillError {
  if (thrown instanceof KeymillError) return thrown;
  const first = firstOf(thrown);
  const cause = asError(first);
  const said = cause as Said;
  if (said.number !== undefined) return serverError(said.number, cause.message, at, cause);
  const certificate = certificateProblem(cause);
  if (certificate !== null)
    return new MssqlError(
      0,
      'SQL_UNAVAILABLE',
      `${at}: its certificate is not trusted (${certificate}); name its authority in tls.ca, or its name in tls.serverName`,
      { cause, place: { at }, class: 'fatal' },
    );
  switch (said.code) {
    case 'ELOGIN':
      return new MssqlError(0, 'ACCESS_REFUSED', `${at}: ${cause.message}; ${LOGIN}`, { cause, place: { at } });
    case 'EENCRYPT':
      return new MssqlError(0, 'SQL_UNAVAILABLE', `${at}: ${cause.message}; see the option tls`, {
        cause,
        place: { at },
        class: 'fatal',
      });
    case 'EPARAM':
      return new MssqlError(0, 'SQL_FAILED', `${at}: ${cause.message}`, { cause, place: { at }, class: 'fatal' });
    default:
      return lostError(at, cause.message, cause);
  }
}

export function serverError(number: number, message: string, at: string, cause?: unknown): MssqlError {
  const { code, class: its, todo } = numbers.get(number) ?? { code: 'SQL_FAILED' as const };
  const detail = `${at}: ${message} (Msg ${number})${todo === undefined ? '' : `; ${todo}`}`;
  return new MssqlError(number, code, detail, { cause, place: { at }, ...(its ? { class: its } : {}) });
}

/** What was asked may have been done or not. */
export function lostError(at: string, how: string, cause?: unknown): MssqlError {
  return new MssqlError(0, 'SQL_UNAVAILABLE', `${at}: ${how}`, { cause, place: { at } });
}

/** Its number where it came from the server. */
export function numberOf(error: unknown): number {
  return error instanceof MssqlError ? error.number : 0;
}

/** The next ask would fare no better, or must not be made before this one. */
export function endsDrain(error: KeymillError): boolean {
  const { class: its } = error;
  const isLogin = error.code === 'ACCESS_REFUSED' && (numberOf(error) === 0 || LOGINS.has(numberOf(error)));
  return its === 'transient' || its === 'throttled' || error.code === 'SQL_UNAVAILABLE' || isLogin;
}

/** No answer came, so nobody knows whether it was done. */
export function isUnsure(error: unknown): boolean {
  return error instanceof KeymillError && error.code === 'SQL_UNAVAILABLE' && numberOf(error) === 0;
}

/** Several messages of one statement: the first says what it is, others follow from it. */
function firstOf(thrown: unknown): unknown {
  const { errors } = (thrown ?? {}) as Said;
  if (!errors || errors.length === 0) return thrown;
  return errors.find(one => numbers.has((one as Said).number ?? -1)) ?? errors[0];
}

function certificateProblem(error: unknown): string | null {
  for (let one = error as Said | undefined, depth = 0; one && depth < 5; one = one.cause as Said | undefined, depth++)
    if (typeof one.code === 'string' && CERTIFICATE.test(one.code)) return asError(one).message;
  return null;
}
