/**
 * How the supervisor gets threads. The real ones come from a Piscina pool; the simulation has its own.
 */
import type { Command, Report } from '../host/control.ts';
import type { ThreadBoot } from '../host/thread.ts';
import type { Port } from '../lanes/port.ts';
import type { Overrides } from '../topology/plan.ts';

/** All that a thread is told at its start; plain data and shared memory. */
export interface Boot extends ThreadBoot {
  /** URL of the topology module, and what to change in it. */
  readonly module: string;
  readonly overrides: Overrides;
  readonly cores: number;
  readonly logLevel: string;
}

/** Words of shared memory through which a thread shows that it lives. */
export const GAUGE_BEAT = 0;
/** Items that must still run alone. */
export const GAUGE_SUSPECTS = 1;
export const GAUGES = 4;

/** Why a thread is gone. `asked`: the supervisor killed it. */
export interface Death {
  readonly asked: boolean;
  readonly reason: string;
  readonly error?: unknown;
}

export interface ThreadHandle {
  send(command: Command): void;
  /** Ends the thread, whatever it is doing. `died` is called when it is truly gone. */
  kill(): void;
}

export interface Threads {
  spawn(boot: Boot, report: (report: Report) => void, died: (death: Death) => void): ThreadHandle;
  /** The two ends of a lane, fit to be sent to threads. */
  channel(): [Port, Port];
  /** An end that stays with the supervisor's own thread. */
  local(port: Port): Port;
  close(): Promise<void>;
}
