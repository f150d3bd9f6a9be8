import { type ErrorCode, KeymillError } from '../errors.ts';

/** An error that the policy `name` raises itself: its text and its place say which policy it was. */
export function policyError(name: string, code: ErrorCode, detail: string, cause?: unknown): KeymillError {
  return new KeymillError(code, `policy ${name}: ${detail}`, { cause, place: { at: `policy ${name}` } });
}
