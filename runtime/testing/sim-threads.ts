/**
 * Threads of a simulation: the production Thread in the same thread of the machine, behind ports and control channels
 * whose every message is an event of the scheduler.
 */
import type { Command, Report } from '../host/control.ts';
import { Thread } from '../host/thread.ts';
import type { Port } from '../lanes/port.ts';
import type { Carried } from '../lanes/text.ts';
import type { Boot, Death, ThreadHandle, Threads } from '../supervisor/threads.ts';
import type { Plan } from '../topology/plan.ts';
import type { Line, Node, Scheduler } from './scheduler.ts';

/** One end of a lane. It belongs to the thread that listens to it. */
class SimPort implements Port {
  peer!: SimPort;
  line: Line | null = null;
  closed = false;
  readonly #scheduler: Scheduler;
  #listener: ((carried: Carried) => void) | null = null;
  readonly #early: Carried[] = [];

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** The thread this end was handed to. */
  own(node: Node): void {
    this.line = this.#scheduler.line(node);
  }

  post(message: Carried): void {
    if (!this.closed && !this.peer.closed) this.peer.#receive(message);
  }

  onMessage(listener: (carried: Carried) => void): void {
    this.#listener = listener;
    for (const message of this.#early.splice(0)) this.#receive(message);
  }

  close(): void {
    this.closed = true;
    if (this.line) this.#scheduler.dropLine(this.line);
  }

  /** The sender died: what was not delivered yet may have left its thread or not. */
  loseSome(): void {
    const queue = this.line?.queue;
    if (queue && queue.length > 0) queue.splice(this.#scheduler.pick(queue.length + 1));
  }

  #receive(message: Carried): void {
    if (this.#listener === null || this.line === null) this.#early.push(message);
    else
      this.line.queue.push(() => {
        if (!this.closed) this.#listener!(message);
      });
  }
}

export interface SimThread {
  readonly node: Node;
  readonly boot: Boot;
  readonly thread: Thread;
  readonly ports: Set<SimPort>;
  end(death: Death): void;
}

export class SimThreads implements Threads {
  readonly #scheduler: Scheduler;
  readonly #plan: Plan;
  readonly #main: Node;
  /** By slot: the thread that lives there. */
  readonly living = new Map<number, SimThread>();
  /** Threads that died, for tests that count, and a look at each at that moment. */
  deaths = 0;
  onDeath: (node: Node) => void = () => undefined;

  constructor(scheduler: Scheduler, plan: Plan, main: Node) {
    this.#scheduler = scheduler;
    this.#plan = plan;
    this.#main = main;
  }

  spawn(boot: Boot, report: (report: Report) => void, died: (death: Death) => void): ThreadHandle {
    const scheduler = this.#scheduler;
    const node: Node = { name: `${boot.kind} ${boot.slot}@${boot.incarnation}`, alive: true, stalledUntil: 0 };
    const environment = scheduler.environment(node);
    const toMain = scheduler.line(this.#main);
    const toThread = scheduler.line(node);
    let over = false;
    const ports = new Set<SimPort>();
    const thread = new Thread(
      boot,
      this.#plan,
      environment,
      message => {
        if (!over) toMain.queue.push(() => report(message));
      },
      {
        threadId: boot.slot,
        measure: () => NOTHING_MEASURED,
        stall: ms => {
          node.stalledUntil = scheduler.now + ms;
        },
        exit: () => simThread.end({ asked: true, reason: 'ended' }),
      },
    );
    const simThread: SimThread = {
      node,
      boot,
      thread,
      ports,
      end: death => {
        if (over) return;
        over = true;
        this.deaths++;
        this.onDeath(node);
        this.living.delete(boot.slot);
        // The code that is running now goes on to the end of its turn; what a dead thread writes must not be seen.
        const ledger = boot.ledger.slice();
        const gauges = boot.gauges.slice();
        scheduler.bury(node);
        for (const port of ports) {
          port.peer.loseSome();
          port.close();
        }
        // Reports on their way may be lost as well; the news of the death comes after those that are not.
        toMain.queue.splice(scheduler.pick(toMain.queue.length + 1));
        toMain.queue.push(() => {
          scheduler.dropLine(toMain);
          boot.ledger.set(ledger);
          boot.gauges.set(gauges);
          died(death);
        });
      },
    };
    this.living.set(boot.slot, simThread);
    toThread.queue.push(() => void thread.start());
    return {
      send: command => {
        if (over) return;
        toThread.queue.push(() => {
          this.#take(command, simThread);
          thread.command(command);
        });
      },
      kill: () => simThread.end({ asked: true, reason: 'killed' }),
    };
  }

  /** A fault: the thread is gone at once. */
  crash(slot: number, reason: string): void {
    this.living.get(slot)?.end({ asked: false, reason });
  }

  channel(): [Port, Port] {
    const a = new SimPort(this.#scheduler);
    const b = new SimPort(this.#scheduler);
    a.peer = b;
    b.peer = a;
    return [a, b];
  }

  local(port: Port): Port {
    (port as SimPort).own(this.#main);
    return port;
  }

  async close(): Promise<void> {
    for (const thread of [...this.living.values()]) thread.end({ asked: true, reason: 'killed' });
  }

  #take(command: Command, thread: SimThread): void {
    if (!('port' in command)) return;
    const port = command.port as SimPort;
    port.own(thread.node);
    thread.ports.add(port);
  }
}

const NOTHING_MEASURED = {
  heapUsed: 0,
  heapLimit: 0,
  loopUtilization: 0,
  cpuSeconds: 0,
  gcScavenges: 0,
  gcMarkSweeps: 0,
};
