/** Addresses of brokers: `pulsar://host:6650` or `pulsar+ssl://host:6651`, several hosts with commas (reference/pulsar.md 2.4). */

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ServiceUrl {
  readonly isSecure: boolean;
  /** At least one; tried in turn. */
  readonly addresses: readonly Address[];
}

const URL_OF = /^pulsar(\+ssl)?:\/\/([^/?#]+)\/?$/;
const HOST_AND_PORT = /^(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/;
const PORT = 6650;
const SECURE_PORT = 6651;

/** Throws a TypeError. */
export function serviceUrl(url: string): ServiceUrl {
  const match = URL_OF.exec(url);
  if (!match) throw new TypeError('expected pulsar://HOST:PORT or pulsar+ssl://HOST:PORT');
  const isSecure = match[1] !== undefined;
  const addresses = match[2]!.split(',').map(text => {
    const parts = HOST_AND_PORT.exec(text);
    const port = Number(parts?.[2] ?? (isSecure ? SECURE_PORT : PORT));
    if (!parts || port < 1 || port > 65_535) throw new TypeError(`${JSON.stringify(text)} is not HOST:PORT`);
    return { host: parts[1]!.replace(/^\[|\]$/g, ''), port };
  });
  return { isSecure, addresses };
}

export function spelt({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
