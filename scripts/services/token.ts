/** JSON web tokens signed with HMAC SHA-256 (RFC 7515, RFC 7519), as Pulsar's token authentication takes them. */
import { createHmac } from 'node:crypto';

export interface Claims {
  /** The role. */
  readonly sub: string;
  /** Seconds since 1970. */
  readonly exp?: number;
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

export function signToken(secret: Uint8Array, claims: Claims): string {
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}
