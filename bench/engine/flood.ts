/** A flood that does not end: whether memory keeps its bounds and the source is what waits. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start } from '../../runtime/index.ts';
import { Child, type Commands } from '../lib/child.ts';
import { now, sleep } from '../lib/clock.ts';
import { type Case, withWarm } from '../lib/contest.ts';
import { Messages } from '../lib/message.ts';
import type { Row } from '../lib/rows.ts';
import { median, slope, spread } from '../lib/stats.ts';
import { Tally } from '../lib/tally.ts';
import topology, { BODY_BYTES, BOUND_BYTES, FLOOD_KEYS } from './flood-topology.ts';
import { gauge } from './metrics.ts';

const MiB = 2 ** 20;
/** A window that is not full takes one more message, of any size; hence the message. */
const BOUND_MIB = (BOUND_BYTES + 2 * BODY_BYTES) / MiB;
/** Rounds of arithmetic of a message: some 20 µs, several times what the source needs for one. */
const WORK = 10_000;
/** Below this in a minute a slope is called zero: garbage comes and goes in larger pieces. */
const SLOPE_MIB = 1;
/** The first part of a flood fills windows and heaps; slopes are of the rest. */
const SETTLING = 0.25;

/** One look at the runtime. */
interface Look {
  seconds: number;
  rssMiB: number;
  outboxMiB: number;
  /** Messages that wait packed and in mailboxes, at the bytes of their bodies; a frame has some 30 more for each. */
  queuedMiB: number;
  isSourceWaiting: boolean;
}

interface Flood {
  looks: Look[];
  handled: number;
  seconds: number;
}

export async function open({ hosts }: { hosts: number }): Promise<Commands> {
  const tally = new Tally();
  tally.configure({ work: WORK });
  const folder = await mkdtemp(join(tmpdir(), 'keymill-bench-'));
  const runtime = await start(topology, { threads: hosts, dataDir: folder, logLevel: 'warn' });
  return {
    async run({ seconds }: { seconds: number }): Promise<Flood> {
      const began = now();
      const looks: Look[] = [];
      const passed = (): number => (now() - began) / 1e9;
      while (passed() < seconds) {
        await sleep(Math.min(1000, (seconds * 1000) / 20));
        const text = await runtime.metrics();
        looks.push({
          seconds: passed(),
          rssMiB: process.memoryUsage.rss() / MiB,
          outboxMiB: gauge(text, 'keymill_outbox_bytes') / MiB,
          queuedMiB:
            ((gauge(text, 'queue_depth', { actor: 'slow' }) + gauge(text, 'keymill_backlog_messages')) * BODY_BYTES) /
            MiB,
          isSourceWaiting: gauge(text, 'keymill_source_waiting', { source: 'endless' }) > 0,
        });
      }
      tally.stop();
      await runtime.settled();
      const took = passed();
      const { settled, messages } = await runtime.summary();
      const { count, checksum, disorder } = tally.read();
      const expected = new Messages({ keys: FLOOD_KEYS, bytes: BODY_BYTES });
      expected.next = messages + 1;
      if (settled.done !== messages || count !== messages)
        throw new Error(`${messages} messages were given, ${settled.done} settled as done and ${count} handled`);
      if (checksum !== expected.checksumFrom(1)) throw new Error('the checksum of what was handled is wrong');
      if (disorder > 0) throw new Error(`${disorder} messages came after a later one of their key`);
      return { looks, handled: count, seconds: took };
    },
    async close() {
      const report = await runtime.stop();
      await rm(folder, { recursive: true, force: true });
      if (!report.ok) throw report.error ?? new Error('the runtime did not stop in good order');
    },
  };
}

export const flood: Case = {
  name: 'flood',
  about: `A source without an end gives messages of ${BODY_BYTES} bytes to handlers that take about 20 µs, for ten minutes or as \`--flood-seconds\` says (5 with \`--quick\`). Windows of the source and of the lanes are ${BOUND_BYTES / MiB} MiB, and may be exceeded by the message that fills them. Looked at once a second from outside: unsettled bytes in outboxes, messages that wait packed or in mailboxes at the size of their bodies, resident memory, and whether the source waits. The slope is that of the last three quarters (Theil and Sen).`,
  async run(bench) {
    const seconds = bench.floodSeconds;
    bench.progress(`keymill, ${seconds} s`);
    const {
      looks,
      handled,
      seconds: took,
    } = await withWarm(bench, [{ name: 'keymill', open: () => Child.open(import.meta.url, { hosts: 1 }) }], ([child]) =>
      child!.call<Flood>('run', { seconds }, seconds * 1000 + 180_000),
    );
    const late = looks.slice(Math.floor(looks.length * SETTLING));
    const base = { suite: bench.suite, case: this.name, by: 'keymill' } as const;
    const most = (metric: string, figure: (look: Look) => number, atMost?: number): Row => ({
      ...base,
      metric,
      unit: 'MiB',
      better: 'lower',
      value: Math.max(...looks.map(figure)),
      spread: spread(late.map(figure)),
      ...(atMost === undefined ? {} : { target: { of: 'value' as const, atMost } }),
    });
    const waiting = (100 * late.filter(look => look.isSourceWaiting).length) / late.length;
    return [
      most('outbox, most', look => look.outboxMiB, BOUND_MIB),
      most('queued, most', look => look.queuedMiB, BOUND_MIB),
      most('resident memory, most', look => look.rssMiB),
      {
        ...base,
        metric: 'resident memory, slope',
        unit: 'MiB/min',
        better: 'lower',
        value: slope(late.map(look => [look.seconds / 60, look.rssMiB])),
        samples: looks.map(look => look.rssMiB),
        target: { of: 'value', atMost: SLOPE_MIB },
        note: `over ${Math.round((late.at(-1)!.seconds - late[0]!.seconds) * 10) / 10} s`,
      },
      {
        ...base,
        metric: 'source waits',
        unit: '% of looks',
        better: 'higher',
        value: waiting,
        target: { of: 'value', atLeast: 90 },
      },
      { ...base, metric: 'settled', unit: 'messages/s', better: 'higher', value: handled / took },
      {
        ...base,
        metric: 'resident memory, median',
        unit: 'MiB',
        better: 'lower',
        value: median(late.map(look => look.rssMiB)),
      },
    ];
  },
};
