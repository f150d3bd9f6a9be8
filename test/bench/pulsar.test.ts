/** The parts of the suite `pulsar` that need no broker: its proof, and how it speaks with clients that are other programs. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Child } from '../../bench/lib/child.ts';
import { pulsar } from '../../bench/pulsar/index.ts';
import { checkConsumed, DISTINCT, type Publishing, type Run, sumOf } from '../../bench/pulsar/load.ts';
import { bytesOf, records } from '../../bench/pulsar/records.ts';
import { tempFolder } from '../support/temp-folder.ts';

const LINES = new URL('../../bench/pulsar/rivals/lines.ts', import.meta.url);

describe('the proof of a consumer', () => {
  it.each([0, 1, 1023, 1024, 1025, 5000])('knows the sum of the numbers of %d messages', messages => {
    let sum = 0;
    for (let n = 0; n < messages; n++) sum += n % DISTINCT;
    expect(sumOf(messages)).toBe(sum);
  });

  it('refuses what is too few, not what was sent, or out of order', () => {
    const run: Run = { messages: 5000, ns: 1, cpuUs: 1, sum: sumOf(5000), disorder: 0 };
    checkConsumed(run, 5000, true);
    checkConsumed({ ...run, disorder: 3 }, 5000, false);
    expect(() => checkConsumed({ ...run, messages: 4999 }, 5000, false)).toThrow('4999 received');
    expect(() => checkConsumed({ ...run, sum: run.sum + 1 }, 5000, false)).toThrow('with the sum');
    expect(() => checkConsumed({ ...run, disorder: 3 }, 5000, true)).toThrow('3 messages came out of order');
  });
});

describe('a client that is another program', () => {
  const started = async (program: string): Promise<Child> => {
    const file = join(await tempFolder(), 'client.mjs');
    await writeFile(file, program);
    const child = await Child.open(LINES, { command: process.execPath, args: [file] });
    onTestFinished(() => child.kill());
    return child;
  };
  const ECHO = `import { createInterface } from 'node:readline';
    createInterface(process.stdin).on('line', line => {
      const { ask, do: name, ...input } = JSON.parse(line);
      if (name === 'consume') process.exit(3);
      console.log(JSON.stringify(name === 'paced' ? { ask, error: 'not today' } : { ask, ok: input }));
    });`;

  it('is asked in lines of JSON, and its errors are told', async () => {
    const child = await started(ECHO);
    const load: Publishing = { topic: 't', messages: 3, bytes: 4, batch: 2, batchBytes: 9, keys: 0, by: 'any' };
    expect(await child.call('publish', load)).toEqual(load);
    await expect(child.call('paced', { topic: 't' })).rejects.toThrow('not today');
    await child.close();
  }, 30_000);

  it('that ends fails what it was asked', async () => {
    const child = await started(ECHO);
    await expect(child.call('consume', { topic: 't' })).rejects.toThrow('the program ended with 3');
  }, 30_000);

  it('that cannot be started fails the contest, and leaves nothing behind', async () => {
    await expect(Child.open(LINES, { command: 'no-such-program', args: [] })).rejects.toThrow('ENOENT');
  }, 30_000);
});

it('flights are payloads again and again', () => {
  const all = records();
  expect(JSON.parse(all[1]!.toString())).toEqual({
    seq: 1,
    origin: 'HNL',
    destination: 'SFO',
    delay: 95,
    distance: 2399,
  });
  expect(bytesOf(all.length + 1)).toBe(bytesOf(all.length) + all[0]!.length);
});

it('names of tables are used once', () => {
  const names = pulsar.flatMap(({ name, tables }) => tables ?? [name]);
  expect(new Set(names).size).toBe(names.length);
});
