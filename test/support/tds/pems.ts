/** A server's certificate of the test run's own, for localhost and 127.0.0.1, and its authority. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificates, pairOf } from '../../../scripts/services/certificates.ts';
import { Place } from '../../../scripts/services/service.ts';

export interface Pems {
  readonly tls: { readonly cert: Buffer; readonly key: Buffer };
  readonly ca: Buffer;
  /** Of the authority's certificate, for clients that want a file. */
  readonly caPath: string;
  remove(): Promise<void>;
}

/** Needs openssl. */
export async function makePems(): Promise<Pems> {
  const folder = await mkdtemp(join(tmpdir(), 'keymill-tds-'));
  const place = new Place(folder, 'certificates');
  await makeCertificates(place);
  const server = pairOf(place, 'server');
  const caPath = pairOf(place, 'authority').certificate;
  return {
    tls: { cert: await readFile(server.certificate), key: await readFile(server.key) },
    ca: await readFile(caPath),
    caPath,
    remove: () => rm(folder, { recursive: true, force: true, maxRetries: 3 }),
  };
}
