/** What runs in a worker thread: loads the topology, makes its plan, and runs the Thread the supervisor asked for. */
import { constants, PerformanceObserver, performance } from 'node:perf_hooks';
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import { type MessagePort, resourceLimits, threadId } from 'node:worker_threads';
import { systemEnvironment } from '../environment.ts';
import { asError, toWire } from '../errors.ts';
import { messagePort } from '../lanes/message-port.ts';
import type { ThreadSnapshot } from '../observe/stats.ts';
import { loadTopology, makePlan, type Overrides } from '../topology/plan.ts';
import type { Command, Report } from './control.ts';
import { Thread, type ThreadBoot } from './thread.ts';

interface Task {
  boot: ThreadBoot & { module: string; overrides: Overrides; cores: number };
  port: MessagePort;
}

/** The one long task of a worker; it ends when the supervisor closes the thread. */
export default async function run({ boot, port }: Task): Promise<void> {
  const report = (message: Report): void => port.postMessage(message);
  let over!: () => void;
  const ended = new Promise<void>(resolve => {
    over = resolve;
  });
  const early: Command[] = [];
  let thread: Thread | null = null;
  port.on('message', (command: Command) => {
    const whole =
      'port' in command ? { ...command, port: messagePort(command.port as unknown as MessagePort) } : command;
    if (thread) thread.command(whole);
    else early.push(whole);
  });
  try {
    const plan = await makePlan(await loadTopology(boot.module), boot.overrides, boot.cores);
    thread = new Thread(boot, plan, systemEnvironment(), report, {
      threadId,
      measure: meter(),
      stall: standStill,
      exit: () => over(),
    });
    const starting = thread.start();
    for (const command of early.splice(0)) thread.command(command);
    await starting;
  } catch (error) {
    report({ type: 'booted', threadId });
    report({ type: 'failed', error: toWire(asError(error)) });
  }
  await ended;
  port.close();
}

/** Figures of this thread; CPU and garbage collections since its start. */
function meter(): () => Pick<
  ThreadSnapshot,
  'heapUsed' | 'heapLimit' | 'loopUtilization' | 'cpuSeconds' | 'gcScavenges' | 'gcMarkSweeps'
> {
  let gcScavenges = 0;
  let gcMarkSweeps = 0;
  new PerformanceObserver(list => {
    for (const entry of list.getEntries()) {
      const kind = (entry as unknown as { detail?: { kind?: number } }).detail?.kind;
      if (kind === constants.NODE_PERFORMANCE_GC_MINOR) gcScavenges++;
      else if (kind === constants.NODE_PERFORMANCE_GC_MAJOR) gcMarkSweeps++;
    }
  }).observe({ entryTypes: ['gc'] });
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const loopUtilization = performance.eventLoopUtilization(now, last).utilization;
    last = now;
    // The old generation, which heap.maxMb limits and a host dies of. The whole heap may be larger than its limit: V8 adds
    // 96 MiB of young generation, which its own collections empty.
    const heap = getHeapStatistics();
    const young = getHeapSpaceStatistics().reduce(
      (sum, space) => sum + (space.space_name.startsWith('new_') ? space.space_used_size : 0),
      0,
    );
    const limitMb = resourceLimits.maxOldGenerationSizeMb ?? 0;
    const cpu = (process as unknown as { threadCpuUsage?: () => { user: number; system: number } }).threadCpuUsage?.();
    return {
      heapUsed: heap.used_heap_size - young,
      heapLimit: limitMb > 0 ? limitMb * 2 ** 20 : heap.heap_size_limit,
      loopUtilization,
      cpuSeconds: cpu ? (cpu.user + cpu.system) / 1e6 : 0,
      gcScavenges,
      gcMarkSweeps,
    };
  };
}

/** For chaos: the event loop of this thread does not turn for `ms`. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
