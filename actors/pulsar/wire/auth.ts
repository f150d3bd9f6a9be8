/** Who we are to a broker (reference/pulsar.md 2.2). Asked anew for every connection and refresh, so a rotated secret is found. */
import { readFile } from 'node:fs/promises';
import { asError, type Clock, KeymillError } from '../../../runtime/index.ts';

export interface Auth {
  /** Name of the method on the wire. */
  readonly method: string;
  /** Undefined for none; empty where another proof is enough. */
  data(): Promise<Uint8Array | undefined>;
}

export type AuthOptions =
  | { readonly token: string }
  | { readonly user: string; readonly password: string }
  | { readonly tls: true }
  | {
      readonly issuer: string;
      readonly clientId: string;
      readonly clientSecret: string;
      readonly audience?: string | undefined;
      readonly scope?: string | undefined;
    };

const OAUTH_MS = 10_000;
/** An access token is renewed when so much of its life is left. */
const RENEW_LEFT = 0.2;

/** A secret is a value, `env:NAME`, or `file:PATH` that is read each time. Rejects with ACCESS_REFUSED. */
async function secretOf(said: string): Promise<string> {
  if (said.startsWith('env:')) {
    const value = process.env[said.slice(4)];
    if (value === undefined) throw refused(`the environment has no ${said.slice(4)}`);
    return value.trim();
  }
  if (!said.startsWith('file:')) return said;
  const path = said.slice('file:'.length).replace(/^\/\/(?=\/)/, '');
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (cause) {
    throw refused(`the secret in ${path} cannot be read`, cause);
  }
}

export function authOf(options: AuthOptions | undefined, clock: Clock): Auth {
  if (options === undefined) return { method: 'none', data: async () => undefined };
  if ('token' in options) return { method: 'token', data: async () => Buffer.from(await secretOf(options.token)) };
  if ('tls' in options) return { method: 'tls', data: async () => new Uint8Array(0) };
  if ('user' in options)
    return {
      method: 'basic',
      data: async () => Buffer.from(`${options.user}:${await secretOf(options.password)}`),
    };
  return oauth(options, clock);
}

/** OAuth2 client credentials; on the wire it is a token. */
function oauth(options: Extract<AuthOptions, { issuer: string }>, clock: Clock): Auth {
  let held: { token: Uint8Array; until: number } | null = null;
  let fetching: Promise<Uint8Array> | null = null;
  const fetchToken = async (): Promise<Uint8Array> => {
    const { issuer, clientId, audience, scope } = options;
    try {
      const signal = AbortSignal.timeout(OAUTH_MS);
      const known = (await json(
        await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, { signal }),
      )) as {
        token_endpoint: string;
      };
      const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: clientId });
      form.set('client_secret', await secretOf(options.clientSecret));
      if (audience !== undefined) form.set('audience', audience);
      if (scope !== undefined) form.set('scope', scope);
      const granted = (await json(await fetch(known.token_endpoint, { method: 'POST', body: form, signal }))) as {
        access_token: string;
        expires_in?: number;
      };
      const token = Buffer.from(granted.access_token);
      const lifeMs = (granted.expires_in ?? 0) * 1000;
      held = { token, until: clock.now() + lifeMs * (1 - RENEW_LEFT) };
      return token;
    } catch (cause) {
      throw refused(`no access token from ${issuer} (${asError(cause).message})`, cause);
    }
  };
  return {
    method: 'token',
    data() {
      if (held && clock.now() < held.until) return Promise.resolve(held.token);
      fetching ??= fetchToken().finally(() => {
        fetching = null;
      });
      return fetching;
    },
  };
}

async function json(response: Response): Promise<unknown> {
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return response.json();
}

function refused(what: string, cause?: unknown): KeymillError {
  return new KeymillError('ACCESS_REFUSED', what, { cause, class: 'transient' });
}
