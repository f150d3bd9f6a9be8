/** Certificates of a test run's own, made by openssl and never committed. */
import { fileURLToPath } from 'node:url';
import { run } from './processes.ts';
import type { Place } from './service.ts';

const CONFIG = fileURLToPath(new URL('./pulsar/certificates.conf', import.meta.url));
const DAYS = '365';

/** Paths of PEM files. */
export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

export const pairOf = (place: Place, name: string): Pair => ({
  certificate: place.path(`${name}.pem`),
  key: place.path(`${name}.key.pem`),
});

/** An authority, a server of it (localhost, 127.0.0.1) and a client with the role `keymill`. */
export async function makeCertificates(place: Place): Promise<void> {
  const authority = pairOf(place, 'authority');
  await makeKey(authority);
  const self = ['-x509', '-days', DAYS, '-extensions', 'authority', '-subj', '/CN=keymill tests'];
  await run('openssl', [
    'req',
    '-config',
    CONFIG,
    '-new',
    '-key',
    authority.key,
    '-out',
    authority.certificate,
    ...self,
  ]);
  await sign(place, authority, 'server', 'localhost');
  await sign(place, authority, 'client', 'keymill');
}

async function makeKey({ key }: Pair): Promise<void> {
  await run('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', key]);
}

async function sign(place: Place, authority: Pair, name: 'server' | 'client', common: string): Promise<void> {
  const { certificate, key } = pairOf(place, name);
  await makeKey({ certificate, key });
  const request = place.path(`${name}.request.pem`);
  await run('openssl', ['req', '-config', CONFIG, '-new', '-key', key, '-out', request, '-subj', `/CN=${common}`]);
  const by = ['-CA', authority.certificate, '-CAkey', authority.key, '-CAcreateserial', '-days', DAYS];
  const extensions = ['-extfile', CONFIG, '-extensions', name];
  await run('openssl', ['x509', '-req', '-in', request, '-out', certificate, ...by, ...extensions]);
}
