/**
 * Errors as keymill raises them and as they cross threads: plain data (`toWire`), so they are told apart by `code`, never by
 * class identity. What each code means stands in error-table.ts.
 */
import { ERRORS, type ErrorClass } from './error-table.ts';

export { ERRORS, type ErrorClass };

export type ErrorCode = keyof typeof ERRORS;

/** Where something went wrong, as far as it is known. All fields survive the way across threads. */
export interface ErrorPlace {
  actor?: string;
  source?: string;
  /** File and line, a path in the options, or the id of a message. */
  at?: string;
}

/** An error as it travels between threads and rests in dead letters. */
export interface WireError {
  name: string;
  message: string;
  code?: string;
  class?: ErrorClass;
  stack?: string;
  place?: ErrorPlace;
  cause?: WireError;
}

/** Every error that keymill raises itself. `code` is one of the table's and stable. */
export class KeymillError extends Error {
  override readonly name = 'KeymillError';
  readonly code: ErrorCode;
  readonly class: ErrorClass;
  readonly place: ErrorPlace;

  constructor(
    code: ErrorCode,
    detail: string,
    options: { cause?: unknown; place?: ErrorPlace; class?: ErrorClass } = {},
  ) {
    super(`${code}: ${detail}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.class = options.class ?? ERRORS[code].class;
    this.place = options.place ?? {};
  }

  /** What the operator should do about it, from the table. */
  get todo(): string {
    return ERRORS[this.code].todo;
  }
}

/** Throw this (or any error whose `class` field says so) to tell the engine how to take a failure. */
export class ClassifiedError extends Error {
  override readonly name = 'ClassifiedError';
  readonly class: ErrorClass;
  constructor(errorClass: ErrorClass, message: string, options?: ErrorOptions) {
    super(message, options);
    this.class = errorClass;
  }
}

export function isKeymillError(value: unknown, code?: ErrorCode): value is KeymillError {
  return value instanceof Error && value.name === 'KeymillError' && 'code' in value && (!code || value.code === code);
}

const CLASSES = new Set<unknown>(['transient', 'throttled', 'poison', 'unknown', 'fatal']);

/** System error codes of Node that mean "try again later". */
const TRANSIENT_SYSTEM = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'ENOSPC',
  'EMFILE',
  'EAGAIN',
  'EBUSY',
]);

/** The class of anything thrown: its own `class` field if it has a valid one, else by system error code, else unknown. */
export function classOf(error: unknown): ErrorClass {
  if (typeof error === 'object' && error !== null) {
    if ('class' in error && CLASSES.has(error.class)) return error.class as ErrorClass;
    if ('code' in error && typeof error.code === 'string' && TRANSIENT_SYSTEM.has(error.code)) return 'transient';
  }
  return 'unknown';
}

/** Turns anything thrown into an Error, keeping what it was in the text. */
export function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  return new KeymillError('HANDLER_THREW', `not an Error but ${describe(thrown)}`);
}

/** A short, safe picture of any value for an error text. */
export function describe(value: unknown, limit = 120): string {
  let text: string;
  try {
    if (typeof value === 'string') text = JSON.stringify(value);
    else if (typeof value === 'bigint') text = `${value}n`;
    else if (typeof value === 'function') text = `[function ${value.name || 'anonymous'}]`;
    else if (typeof value === 'object' && value !== null) text = JSON.stringify(value) ?? String(value);
    else text = String(value);
  } catch {
    text = Object.prototype.toString.call(value);
  }
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}

export function toWire(thrown: unknown, depth = 0): WireError {
  const error = asError(thrown);
  const wire: WireError = { name: error.name, message: error.message };
  if ('code' in error && typeof error.code === 'string') wire.code = error.code;
  wire.class = classOf(error);
  if (error.stack) wire.stack = error.stack;
  if (isKeymillError(error)) wire.place = error.place;
  if (error.cause !== undefined && depth < 4) wire.cause = toWire(error.cause, depth + 1);
  return wire;
}

export function fromWire(wire: WireError): Error {
  const cause = wire.cause ? fromWire(wire.cause) : undefined;
  let error: Error;
  if (wire.name === 'KeymillError' && wire.code && wire.code in ERRORS) {
    const code = wire.code as ErrorCode;
    const detail = wire.message.startsWith(`${code}: `) ? wire.message.slice(code.length + 2) : wire.message;
    error = new KeymillError(code, detail, {
      cause,
      ...(wire.place ? { place: wire.place } : {}),
      ...(wire.class ? { class: wire.class } : {}),
    });
  } else {
    error = new Error(wire.message, cause === undefined ? undefined : { cause });
    Object.defineProperty(error, 'name', { value: wire.name, configurable: true });
    if (wire.code) Object.assign(error, { code: wire.code });
    if (wire.class) Object.assign(error, { class: wire.class });
  }
  if (wire.stack) error.stack = wire.stack;
  return error;
}
