/** What a summary asks of threads: figures that are kept, whatever the number of keys. */
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { Cell } from '../../runtime/host/cell.ts';
import { defineActor, start } from '../../runtime/index.ts';
import { Supervisor } from '../../runtime/supervisor/supervisor.ts';
import { Simulation } from '../../runtime/testing/simulation.ts';
import relay from '../pulsar/fixtures/relay.ts';
import { tempFolder } from '../support/temp-folder.ts';

const KEYS = 500;

afterEach(() => void vi.restoreAllMocks());

/** Each key is handled when it is let. */
async function crowded() {
  const going: (() => void)[] = [];
  const slow = defineActor<string, void>({
    key: key => key,
    handle: () => new Promise<void>(resolve => void going.push(resolve)),
  });
  const simulation = new Simulation({ actors: { slow }, hosts: 2 });
  await simulation.start();
  for (let n = 0; n < KEYS; n++) {
    await simulation.tell('slow', `k${n}`);
    await simulation.tell('slow', `k${n}`);
  }
  return { simulation, going };
}

async function answered<T>(simulation: Simulation, asked: Promise<T>): Promise<T> {
  let answer: { readonly value: T } | null = null;
  void asked.then(value => (answer = { value }));
  await simulation.until(() => answer !== null);
  return answer!.value;
}

/** How many mailboxes were looked at while it was asked. */
async function looked(simulation: Simulation, ask: () => Promise<unknown>): Promise<number> {
  const walked = Cell.prototype.mailboxes;
  let count = 0;
  vi.spyOn(Cell.prototype, 'mailboxes').mockImplementation(function* (this: Cell, partition?: number) {
    for (const mailbox of walked.call(this, partition)) {
      count++;
      yield mailbox;
    }
  });
  await answered(simulation, ask());
  vi.restoreAllMocks();
  return count;
}

/** What mailboxes of all threads hold, one by one. */
function held({ threads }: Simulation): number {
  let count = 0;
  for (const { thread } of threads.living.values())
    for (const cell of thread.host.cells) if (cell) for (const mailbox of cell.mailboxes()) count += mailbox.count;
  return count;
}

test('depths are what the mailboxes hold, to the message, and no mailbox is looked at for them', async () => {
  const { simulation, going } = await crowded();
  const { supervisor } = simulation;
  const told = async (): Promise<number> => {
    const depths = await answered(simulation, supervisor.depths());
    return depths.reduce((sum, { slow }) => sum + (slow ?? 0), 0);
  };
  await simulation.advance(1000);
  const before = await told();
  expect(before).toBe(held(simulation));
  expect(before).toBeGreaterThan(KEYS / 4);
  expect(await looked(simulation, () => supervisor.snapshots())).toBeGreaterThanOrEqual(before / 2);
  expect(await looked(simulation, () => supervisor.depths())).toBe(0);
  for (let round = 0; round < 3; round++) {
    for (const go of going.splice(0)) go();
    await simulation.advance(1000);
    expect(await told()).toBe(held(simulation));
  }
  expect(await told()).toBeLessThan(before);
});

test('a summary needs no more than that', async () => {
  const runtime = await start(relay, { threads: 1, dataDir: await tempFolder('depths'), logLevel: 'silent' });
  onTestFinished(async () => void (await runtime.stop({ graceMs: 0 })));
  const depths = vi.spyOn(Supervisor.prototype, 'depths');
  const snapshots = vi.spyOn(Supervisor.prototype, 'snapshots');
  await runtime.tell('leads', { epoch: 1 }, { until: 'settled' });
  const { perActor } = await runtime.summary();
  expect(perActor['leads']).toMatchObject({ handled: 1, depth: 0 });
  expect([depths.mock.calls.length, snapshots.mock.calls.length]).toEqual([1, 0]);
});
