/** A Pulsar: one process that is broker, bookie and metadata store, with plain, TLS and admin ports. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { makeCertificates, pairOf } from './certificates.ts';
import { brokerJars, clientOf, fetchClient } from './downloads.ts';
import type { Exports } from './exports.ts';
import { expectFree, freePorts } from './ports.ts';
import { alive, ready, run, startServer } from './processes.ts';
import { type Place, reasonOf, type Service, type State, say } from './service.ts';
import { signToken } from './token.ts';

const READY_MS = 120_000;
const CONFIG = fileURLToPath(new URL('./pulsar/broker.conf', import.meta.url));
/** What its libraries reach into. */
const OPENED = ['java.base/java.lang', 'java.base/java.nio', 'java.base/sun.net', 'java.base/jdk.internal.misc'];
/** Half a gigabyte is enough for tests; with the first compiler only it starts in half the time. */
const TESTS = ['-Xmx512m', '-XX:MaxDirectMemorySize=512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
/** A broker whose speed matters. */
const BENCH = ['-Xmx1g', '-Xms1g', '-XX:MaxDirectMemorySize=1g', '-XX:+UseParallelGC'];
const IS_BENCH = process.env['KEYMILL_SERVICES_PULSAR'] === 'bench';
const JVM = IS_BENCH ? BENCH : TESTS;
const ROLE = 'keymill';

export const pulsar: Service = {
  name: 'pulsar',

  async start(place: Place): Promise<Exports> {
    await run('java', ['-version']);
    const python = fetchClient(place.cache).catch(error => say(`pulsar: no Python client: ${reasonOf(error)}`));
    const jars = await brokerJars(place.cache);
    if (!existsSync(secretOf(place))) await makeSecrets(place);
    const ports = place.read()?.ports ?? (await freePorts(4));
    await expectFree(ports);
    const pid = startServer(place, 'java', argumentsOf(place, jars, ports));
    const state = { pid, ports };
    place.write(state);
    await Promise.all([ready(place, READY_MS, () => serves(ports[2]!)), python]);
    return exportsOf(place, state);
  },

  status: (place: Place): Exports | null => (alive(place) === null ? null : exportsOf(place, place.read()!)),
};

const secretOf = (place: Place): string => place.path('secret');

/** The last made is what says that all are there. */
async function makeSecrets(place: Place): Promise<void> {
  await makeCertificates(place);
  const password = randomBytes(12).toString('hex');
  const hash = (await run('openssl', ['passwd', '-apr1', password])).trim();
  writeFileSync(place.path('password'), password, { mode: 0o600 });
  writeFileSync(place.path('passwords'), `${ROLE}:${hash}\n`, { mode: 0o600 });
  writeFileSync(secretOf(place), randomBytes(32).toString('hex'), { mode: 0o600 });
}

function argumentsOf(place: Place, jars: string, [plain, tls, admin, bookie]: readonly number[]): string[] {
  const server = pairOf(place, 'server');
  const config = place.path('broker.conf');
  const own = {
    brokerServicePort: plain,
    brokerServicePortTls: tls,
    webServicePort: admin,
    tlsCertificateFilePath: server.certificate,
    tlsKeyFilePath: server.key,
    tlsTrustCertsFilePath: pairOf(place, 'authority').certificate,
    tokenSecretKey: pathToFileURL(secretOf(place)).href,
    basicAuthConf: pathToFileURL(place.path('passwords')).href,
    // By default a message waits 10 ms in the broker before consumers are told, and clients would all look alike.
    ...(IS_BENCH ? { managedLedgerNewEntriesCheckDelayInMillis: 0 } : {}),
  };
  const lines = Object.entries(own).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(config, `${readFileSync(CONFIG, 'utf8')}\n${lines.join('')}`);
  const data = ['--metadata-dir', place.path('metadata'), '--bookkeeper-dir', place.path('bookkeeper')];
  return [
    ...JVM,
    ...[...OPENED, 'java.management/sun.management'].flatMap(name => ['--add-opens', `${name}=ALL-UNNAMED`]),
    '-Dlog4j2.level=info',
    '-cp',
    `${jars}/*`,
    'org.apache.pulsar.PulsarStandaloneStarter',
    ...[
      '--config',
      config,
      '--no-functions-worker',
      '--no-stream-storage',
      ...data,
      '--bookkeeper-port',
      String(bookie),
    ],
  ];
}

function exportsOf(place: Place, { pid, ports }: State): Exports {
  const [plain, tls, admin] = ports;
  const client = pairOf(place, 'client');
  const python = clientOf(place.cache);
  return {
    PULSAR: `pulsar://127.0.0.1:${plain}`,
    PULSAR_TLS: `pulsar+ssl://localhost:${tls}`,
    PULSAR_ADMIN: `http://127.0.0.1:${admin}`,
    PULSAR_CA: pairOf(place, 'authority').certificate,
    PULSAR_CERT: client.certificate,
    PULSAR_KEY: client.key,
    PULSAR_TOKEN: signToken(readFileSync(secretOf(place)), { sub: ROLE }),
    PULSAR_SECRET: secretOf(place),
    PULSAR_BASIC: `${ROLE}:${readFileSync(place.path('password'), 'utf8')}`,
    PULSAR_PID: String(pid),
    ...(python === null ? {} : { PULSAR_PYTHON: python }),
  };
}

/** The namespace of the system is the last thing it makes. */
async function serves(port: number): Promise<boolean> {
  const asked = ['namespaces/public', 'namespaces/pulsar', 'brokers/ready'].map(async path => {
    const reply = await fetch(`http://127.0.0.1:${port}/admin/v2/${path}`);
    return reply.ok ? reply.text() : '';
  });
  const [named, system, state] = await Promise.all(asked);
  return named!.includes('public/default') && system!.includes('pulsar/system') && state === 'ok';
}
