/** examples/cache: HTTP in the main thread, handlers on several threads, one cache. */
import { expect, onTestFinished, test } from 'vitest';
import type { Answer } from '../../examples/cache/lookup.ts';
import { serve } from '../../examples/cache/server.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('requests on all hosts ask the source once, until the countries are invalidated', async () => {
  const service = await serve(0, { dataDir: await tempFolder('example-cache'), logLevel: 'silent' });
  onTestFinished(() => service.stop());
  const get = async (code: string): Promise<Answer> =>
    (await fetch(`${service.url}/countries/${code}`)).json() as Promise<Answer>;
  const warm = await get('tr');
  expect(warm).toMatchObject({ country: { name: 'Türkiye' }, loads: 0 }); // by the warm-up
  const round = async (): Promise<Answer[]> => Promise.all(Array.from({ length: 40 }, () => get('ch')));
  const loadsOf = (answers: readonly Answer[]): number => {
    const byHost = new Map<number, number>();
    for (const { host, loads } of answers) byHost.set(host, Math.max(loads, byHost.get(host) ?? 0));
    return [...byHost.values()].reduce((sum, loads) => sum + loads, 0);
  };
  const first = await round();
  expect(new Set(first.map(({ host }) => host)).size).toBe(2);
  expect(new Set(first.map(({ country }) => country?.name))).toEqual(new Set(['Switzerland']));
  expect(loadsOf(first)).toBe(1);
  expect((await round()).every(({ from }) => from !== 'load')).toBe(true);
  expect(await (await fetch(`${service.url}/countries`, { method: 'DELETE' })).json()).toEqual({
    invalidated: 'countries',
  });
  await expect.poll(async () => loadsOf(await round())).toBe(2);
  expect((await fetch(`${service.url}/countries/XX`)).status).toBe(404);
  expect((await fetch(`${service.url}/else`)).status).toBe(404);
});
