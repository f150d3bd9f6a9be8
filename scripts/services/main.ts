/** `start redis|pulsar|all`, `status`, `stop [redis|pulsar|all]`. What cannot be started is said, and is no failure. */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toLines } from './exports.ts';
import { locked } from './lock.ts';
import { alive, kill } from './processes.ts';
import { pulsar } from './pulsar.ts';
import { redis } from './redis.ts';
import { Place, reasonOf, type Service, say } from './service.ts';

const SERVICES: readonly Service[] = [redis, pulsar];
const ROOT = resolve(process.env['KEYMILL_SERVICES_DIR'] ?? fileURLToPath(new URL('../../.services', import.meta.url)));

const placeOf = (service: Service): Place => new Place(ROOT, service.name);

/** Each as soon as it is there: one that fails takes nothing from the others. */
async function start(service: Service): Promise<void> {
  const place = placeOf(service);
  const exports = service.status(place);
  try {
    if (exports === null) say(`${service.name}: starting`);
    process.stdout.write(toLines({ SERVICES: ROOT, ...(exports ?? (await service.start(place))) }));
  } catch (error) {
    say(`${service.name}: not started: ${reasonOf(error)}`);
    await stop(service, 'keep');
  }
}

async function stop(service: Service, data: 'keep' | 'drop' = 'drop'): Promise<void> {
  const place = placeOf(service);
  const pid = alive(place);
  if (pid !== null) await kill(pid);
  await service.stop?.(place);
  if (data === 'drop') place.drop();
}

const [command, named = 'all'] = process.argv.slice(2);
const chosen = SERVICES.filter(({ name }) => named === 'all' || name === named);
const each = (task: (service: Service) => Promise<void>) =>
  locked(ROOT, async () => void (await Promise.all(chosen.map(task))));

if (chosen.length > 0 && command === 'start') await each(start);
else if (chosen.length > 0 && command === 'stop') await each(service => stop(service));
else if (chosen.length > 0 && command === 'status')
  for (const service of chosen) {
    const exports = service.status(placeOf(service));
    if (exports !== null) process.stdout.write(toLines({ SERVICES: ROOT, ...exports }));
  }
else {
  say('start redis|pulsar|all, status, or stop [redis|pulsar|all]');
  process.exitCode = 1;
}
