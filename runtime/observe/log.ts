/**
 * Logs as JSON lines on stderr, written by the main thread alone, so that lines never mix. Worker threads post records.
 * What could be a secret is hidden here, before pino and before a record leaves its thread: pino's own redaction knows
 * fixed paths only, and a secret may sit at any depth, in the text of an error, or in a URL.
 */
import pino from 'pino';
import { type Clock, systemEnvironment } from '../environment.ts';
import { describe, KeymillError, toWire } from '../errors.ts';
import type { Log } from '../topology/define.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** One line of log as plain data, cleaned of secrets; it can be cloned to another thread. */
export interface LogRecord {
  level: Exclude<LogLevel, 'silent'>;
  /** Whole ms since 1970, when it was logged. */
  timeMs: number;
  fields: Record<string, unknown>;
  text: string;
}

export interface MainLogOptions {
  level: LogLevel;
  /** Name of the topology; the `name` of every line. */
  name: string;
  /** Takes one line with its line feed at a time. Default: stderr, synchronously. */
  destination?: { write(line: string): void };
  clock?: Pick<Clock, 'wall'>;
}

const HIDDEN = '***';
const SECRET_NAME =
  /pass(?:word|wd|phrase)|^pass$|pwd|secret|token|credential|authorization|^auth$|cookie|(?:api|access|private)[-_]?key|connection[-_]?str/i;
// Repetitions are bounded where a text made for it could otherwise cost the square of its length.
const URL_IN_TEXT = /\b[a-z][a-z0-9+.-]{0,31}:\/\/\S+/gi;
/** `password=…` and the like, as in the query of a URL or a connection string. */
const PAIR_IN_TEXT =
  /((?:password|passwd|passphrase|pwd|secret|token|credential|(?:api|access|private)[-_]?key)[\w-]{0,32}\s{0,8}=\s{0,8})("[^"]*"?|'[^']*'?|[^\s;&,"'#]+)/gi;

/** Bounds of one line: a message logged by mistake must not fill the disk. */
const MAX_DEPTH = 8;
const MAX_ITEMS = 100;
const MAX_TEXT = 16_384;
const MAX_VALUES = 2000;

/** Names that the line itself uses; a field of that name gets an underscore behind it. */
const RESERVED = new Set(['level', 'time', 'name', 'msg']);

/** Reads a level as an operator wrote it; undefined is `info`. Throws CONFIG_INVALID. */
export function parseLogLevel(text: string | undefined): LogLevel {
  if (text === undefined || text === '') return 'info';
  const level = LOG_LEVELS.find(known => known === text.toLowerCase());
  if (level) return level;
  throw new KeymillError(
    'CONFIG_INVALID',
    `log level must be one of ${LOG_LEVELS.join(', ')}, found ${describe(text)}`,
    {
      place: { at: 'KEYMILL_LOG_LEVEL' },
    },
  );
}

/** The log of the main thread. */
export function mainLog(options: MainLogOptions): Log {
  return new MainLog(options);
}

/**
 * The log of a worker thread: `bindings` (actor, host, …) go with every record. Records below `level` are not posted.
 */
export function workerLog(
  post: (record: LogRecord) => void,
  bindings: Record<string, unknown>,
  options: { level?: LogLevel; clock?: Pick<Clock, 'wall'> } = {},
): Log {
  const clock = options.clock ?? systemEnvironment().clock;
  const lowest = LOG_LEVELS.indexOf(options.level ?? 'debug');
  const at = (level: LogRecord['level']) => (fields: Record<string, unknown>, text: string) => {
    if (LOG_LEVELS.indexOf(level) >= lowest) post(recordOf(level, { ...bindings, ...fields }, text, clock.wall()));
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** Writes what a worker posted, with the worker's time. Another implementation of `Log` gets its fields and text. */
export function writeRecord(log: Log, record: LogRecord): void {
  if (log instanceof MainLog) log.write(record);
  else log[record.level](record.fields, record.text);
}

class MainLog implements Log {
  readonly #pino: pino.Logger;
  readonly #clock: Pick<Clock, 'wall'>;

  constructor({ level, name, destination, clock }: MainLogOptions) {
    this.#clock = clock ?? systemEnvironment().clock;
    // Errors are plain data by now; pino's own serializer of `err` would fold the causes into one text.
    this.#pino = pino(
      {
        level,
        base: { name },
        timestamp: false,
        formatters: { level: label => ({ level: label }) },
        serializers: { err: value => value },
      },
      destination ?? pino.destination({ fd: 2, sync: true }),
    );
  }

  debug(fields: Record<string, unknown>, text: string): void {
    this.#log('debug', fields, text);
  }

  info(fields: Record<string, unknown>, text: string): void {
    this.#log('info', fields, text);
  }

  warn(fields: Record<string, unknown>, text: string): void {
    this.#log('warn', fields, text);
  }

  error(fields: Record<string, unknown>, text: string): void {
    this.#log('error', fields, text);
  }

  write({ level, timeMs, fields, text }: LogRecord): void {
    const line: Record<string, unknown> = { time: timeMs };
    for (const [name, value] of Object.entries(fields)) line[RESERVED.has(name) ? `${name}_` : name] = value;
    this.#pino[level](line, text);
  }

  #log(level: LogRecord['level'], fields: Record<string, unknown>, text: string): void {
    if (this.#pino.isLevelEnabled(level)) this.write(recordOf(level, fields, text, this.#clock.wall()));
  }
}

/** The hash of a key as logs show it; the key itself may be personal data and is never logged. 8 hex digits. */
export function keyHash(hash: number): string {
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/**
 * Hides the password of a URL, and parameters named like secrets. All else stays as it is, valid or not. A password may
 * hold unescaped @ / ? and #, so all from the first colon of the authority to the last @ is hidden: rather too much.
 */
export function redactUrl(url: string): string {
  const [, scheme, rest] = /^([a-z][a-z0-9+.-]*:\/\/)(.*)$/is.exec(url) ?? [];
  if (scheme === undefined || rest === undefined) return hidePairs(url);
  const colon = /^[^/?#:]*:/.exec(rest)?.[0].length ?? Infinity;
  const at = rest.lastIndexOf('@');
  if (at < colon) return hidePairs(url);
  return `${scheme}${rest.slice(0, colon)}${HIDDEN}${hidePairs(rest.slice(at))}`;
}

/** Hides the secrets of any URL, query or connection string within a text. */
export function redactText(text: string): string {
  return hidePairs(text.replace(URL_IN_TEXT, redactUrl));
}

function hidePairs(text: string): string {
  return text.replace(PAIR_IN_TEXT, `$1${HIDDEN}`);
}

function recordOf(level: LogRecord['level'], fields: Record<string, unknown>, text: string, wallMs: number): LogRecord {
  const plain = clean(fields, [], { left: MAX_VALUES }) as Record<string, unknown>;
  return { level, timeMs: Math.round(wallMs), fields: plain, text: cleanText(String(text)) };
}

/** How many more values the record may show. */
interface Budget {
  left: number;
}

/** A copy of plain data, without secrets, cycles and what cannot be cloned or written as JSON. */
function clean(value: unknown, above: readonly object[], budget: Budget): unknown {
  if (budget.left-- <= 0) return '[…]';
  if (typeof value === 'string') return cleanText(value);
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
  if (typeof value === 'function') return `[function ${value.name || 'anonymous'}]`;
  if (typeof value !== 'object' || value === null) return value;
  if (above.includes(value)) return '[circular]';
  if (above.length >= MAX_DEPTH) return '[…]';
  try {
    return cleanObject(value, [...above, value], budget);
  } catch (error) {
    return `[unreadable: ${cleanText(describe(error))}]`;
  }
}

function cleanObject(value: object, above: readonly object[], budget: Budget): unknown {
  if (value instanceof Error) return clean(toWire(value), above, budget);
  if (ArrayBuffer.isView(value)) return `[${value.constructor.name} of ${value.byteLength} bytes]`;
  if (value instanceof Map || value instanceof Set) return `[${value.constructor.name} of ${value.size}]`;
  if ('toJSON' in value && typeof value.toJSON === 'function') return clean(value.toJSON(), above, budget);
  if (Array.isArray(value)) {
    const items = value.slice(0, MAX_ITEMS).map(item => clean(item, above, budget));
    return value.length > MAX_ITEMS ? [...items, `[${value.length - MAX_ITEMS} more]`] : items;
  }
  const plain: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value).slice(0, MAX_ITEMS)) {
    const hidden = SECRET_NAME.test(name) && typeof field !== 'boolean' && field != null;
    plain[name] = hidden ? HIDDEN : clean(field, above, budget);
  }
  return plain;
}

/** Cut before it is searched, so that a long text costs no more than a short one; a URL cut through is left out. */
function cleanText(text: string): string {
  if (text.length <= MAX_TEXT) return redactText(text);
  const head = text.slice(0, MAX_TEXT);
  const url = head.lastIndexOf('://');
  const cutThrough = url >= 0 && !/\s/.test(head.slice(url));
  return `${redactText(cutThrough ? head.slice(0, url) : head)}…`;
}
