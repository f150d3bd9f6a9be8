/** What makes a Redis speak TLS, beside its plain port: to its clients, and to the others of its group or cluster. */
import { existsSync } from 'node:fs';
import { makeCertificates, type Pair, pairOf } from './certificates.ts';
import type { Directive } from './redis-node.ts';
import { Place } from './service.ts';

/** How the processes of a group or a cluster differ from plain ones. */
export interface TogetherOptions {
  /** For clients too; then the sentinels, or the nodes, tell those who come by TLS of no other ports. */
  readonly isTls?: boolean;
  /** Of each process that holds data. Used at its first start. */
  readonly directives?: readonly Directive[];
}

/** Of what is in a folder: the authority, and a client's pair. */
export function certificatesOf(place: Place): { readonly ca: string; readonly client: Pair } {
  return { ca: pairOf(place, 'authority').certificate, client: pairOf(place, 'client') };
}

/** Shows the certificate of `place`; clients may show one too. */
export function tlsDirectives(place: Place, port: number): readonly Directive[] {
  const { certificate, key } = pairOf(place, 'server');
  return [
    ['tls-port', port],
    ['tls-cert-file', certificate],
    ['tls-key-file', key],
    ['tls-ca-cert-file', certificatesOf(place).ca],
    ['tls-auth-clients', 'optional'],
  ];
}

/** The same, and what it says to others of its kind is said over TLS as well, in the client's name: the server's is for servers only. */
export function tlsTogether(place: Place, port: number): readonly Directive[] {
  const { certificate, key } = certificatesOf(place).client;
  return [
    ...tlsDirectives(place, port),
    ['tls-client-cert-file', certificate],
    ['tls-client-key-file', key],
    ['tls-replication', 'yes'],
    ['tls-cluster', 'yes'],
  ];
}

/** The folder of the certificates that a group or a cluster has together. */
export const certificatesIn = (place: Place): Place => new Place(place.folder, 'certificates');

/** Makes them where they are missing. Throws where there is no openssl. */
export async function certified(place: Place): Promise<Place> {
  const its = certificatesIn(place);
  if (!existsSync(certificatesOf(its).client.certificate)) await makeCertificates(its);
  return its;
}
