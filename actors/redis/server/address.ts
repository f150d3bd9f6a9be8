/** Urls of servers: which there are, who we are to them, and nothing of that in any message. */

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface Address {
  readonly kind: 'standalone' | 'sentinel' | 'cluster';
  /** The server, the sentinels, or some nodes of the cluster. */
  readonly hosts: readonly HostPort[];
  readonly isTls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly db: number;
  /** Of the master that sentinels watch; empty otherwise. */
  readonly master: string;
}

const KINDS = {
  'redis:': 'standalone',
  'rediss:': 'standalone',
  'redis+sentinel:': 'sentinel',
  'rediss+sentinel:': 'sentinel',
  'redis+cluster:': 'cluster',
  'rediss+cluster:': 'cluster',
} as const;
const PORTS = { standalone: 6379, sentinel: 26379, cluster: 6379 } as const;
const FORMS = {
  standalone: '//[USER:PASSWORD@]HOST[:PORT][/DB]',
  sentinel: '//[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]/MASTER[/DB]',
  cluster: '//[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]',
} as const;

function schemeOf(url: string): keyof typeof KINDS | undefined {
  return (Object.keys(KINDS) as (keyof typeof KINDS)[]).find(scheme => url.startsWith(scheme));
}

export function isServerUrl(url: string): boolean {
  return schemeOf(url) !== undefined;
}

/** Null where the url is right. Says nothing of what it holds. */
export function addressProblem(url: string): string | null {
  const found = read(url);
  return typeof found === 'string' ? found : null;
}

/** Of a url that has no problem. */
export function addressOf(url: string): Address {
  const found = read(url);
  if (typeof found === 'string') throw new TypeError(found);
  return found;
}

/** As messages name it: hosts, and no password. */
export function nameOf({ kind, hosts, master }: Address): string {
  const list = hosts.map(textOf).join(',');
  return kind === 'sentinel' ? `${master} of ${list}` : list;
}

export function textOf({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function read(url: string): Address | string {
  const scheme = schemeOf(url);
  if (scheme === undefined) return 'no url of a Redis server';
  const kind = KINDS[scheme];
  const wrong = (what: string): string => `${what}; expected ${scheme}${FORMS[kind]}`;
  const [, user, hostList = '', path = ''] =
    /^\/\/(?:([^/]*)@)?([^/?#]*)(\/[^?#]*)?$/.exec(url.slice(scheme.length)) ?? [];
  if (hostList === '') return wrong('it names no host');
  const hosts: HostPort[] = [];
  for (const said of hostList.split(',')) {
    const host = hostOf(said, PORTS[kind]);
    if (host === null) return wrong(`what stands at host ${hosts.length + 1} is no host with a port`);
    hosts.push(host);
  }
  if (kind === 'standalone' && hosts.length > 1) return wrong('it names several hosts');
  const parts = path.split('/').slice(1);
  const master = kind === 'sentinel' ? decoded(parts.shift() ?? '') : '';
  if (master === null || (kind === 'sentinel' && master === '')) return wrong('it does not name the master');
  const db = parts.shift() ?? '';
  if (kind === 'cluster' && db !== '') return wrong('a cluster has no databases');
  if (!/^\d{0,4}$/.test(db) || parts.length > 0) return wrong('what follows the host is no number of a database');
  const colon = user?.indexOf(':') ?? -1;
  const username = decoded(colon < 0 ? (user ?? '') : user!.slice(0, colon));
  const password = decoded(colon < 0 ? '' : user!.slice(colon + 1));
  if (username === null || password === null)
    return wrong('user or password has a % that stands for nothing: write it as %25');
  return {
    kind,
    hosts,
    isTls: scheme.startsWith('rediss'),
    username: username === '' ? undefined : username,
    password: password === '' ? undefined : password,
    db: Number(db),
    master,
  };
}

function hostOf(said: string, port: number): HostPort | null {
  const [, bracketed, plain, digits] = /^(?:\[([\da-fA-F:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(said) ?? [];
  const host = bracketed ?? plain;
  const number = digits === undefined ? port : Number(digits);
  return host === undefined || number < 1 || number > 65_535 ? null : { host, port: number };
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
