/** Where a SQL Server is: `mssql://[USER:PASSWORD@]HOST[\INSTANCE][:PORT]/DATABASE`. */
import { KeymillError } from '../../../runtime/index.ts';

export const MSSQL = 'mssql:';

export interface Address {
  readonly host: string;
  /** Null with an instance: its browser service tells the port. */
  readonly port: number | null;
  readonly instance: string | null;
  readonly database: string;
  readonly user: string | null;
  readonly password: string | null;
  /** As text, without secrets. */
  readonly text: string;
}

const PORT = 1433;
const URL_FORM =
  /^mssql:\/\/(?:([^@/]*)@)?(\[[0-9A-Fa-f:.]+\]|[^:/\\[\]@?#\s]+)(?:\\([^:/\\?#\s]+))?(?::(\d{1,5}))?\/([^/?#]+)$/;

/** Null where it is none. */
export function addressOf(url: string): Address | null {
  const [, who, host, instance, port, database] = URL_FORM.exec(url) ?? [];
  if (host === undefined || database === undefined) return null;
  if (instance !== undefined && port !== undefined) return null;
  const number = port === undefined ? PORT : Number(port);
  if (number < 1 || number > 65_535) return null;
  try {
    const [user, password] = who === undefined ? [] : halves(who).map(decodeURIComponent);
    const name = decodeURIComponent(database);
    const at = instance === undefined ? `${host}:${number}` : `${host}\\${instance}`;
    return {
      host: host.replace(/^\[|\]$/g, ''),
      port: instance === undefined ? number : null,
      instance: instance ?? null,
      database: name,
      user: user || null,
      password: password || null,
      text: `${MSSQL}//${at}/${name}`,
    };
  } catch {
    return null;
  }
}

/** Throws CONFIG_INVALID, without the url: it may hold a password. */
export function mustBeAddress(url: string): Address {
  const address = addressOf(url);
  if (!address) throw new KeymillError('CONFIG_INVALID', `url: ${URL_EXPECTED}`, { place: { at: 'url' } });
  return address;
}

export const URL_EXPECTED =
  'expected mssql://[USER:PASSWORD@]HOST[:PORT]/DATABASE or mssql://[USER:PASSWORD@]HOST\\INSTANCE/DATABASE, with signs of user and password that a url reserves written as %XX';

function halves(who: string): string[] {
  const colon = who.indexOf(':');
  return colon < 0 ? [who] : [who.slice(0, colon), who.slice(colon + 1)];
}
