/** What an operator does to a key: pause, resume, look at it, skip its first message, retry now. */
import type { Environment } from '../environment.ts';
import { KeymillError } from '../errors.ts';
import { hashKey } from '../lanes/key-hash.ts';
import type { Cell } from './cell.ts';
import type { Command } from './control.ts';
import type { Delivery } from './deliver.ts';
import { inspectKey, type KeyReport } from './inspect.ts';
import type { Outgoing } from './outgoing.ts';
import type { Room } from './room.ts';
import type { Scheduler } from './scheduler.ts';

/** Classes of the failures that a dependency in trouble causes. */
const WAITING: ReadonlySet<string> = new Set(['transient', 'throttled']);

/** An I/O actor is well again: keys whose last failure may have been its need not wait out their back-off. */
export function wakeBackedOff(
  { environment, scheduler, outgoing }: Pick<OperatingNeeds, 'environment' | 'scheduler'> & { outgoing: Outgoing },
  cells: readonly (Cell | null)[],
  io: string,
): void {
  const now = environment.clock.now();
  for (const cell of cells)
    if (cell && outgoing.mayUse(cell, io))
      for (const mailbox of cell.mailboxes())
        if (mailbox.notBefore > now && WAITING.has(mailbox.head?.history?.at(-1)?.class ?? '')) {
          mailbox.notBefore = 0;
          scheduler.consider(cell, mailbox);
        }
}

interface OperatingNeeds {
  readonly environment: Environment;
  readonly scheduler: Scheduler;
  readonly delivery: Delivery;
  readonly room: Room;
}

/** The key afterwards; undefined when nothing of it is here. */
export function operate(
  { environment, scheduler, delivery, room }: OperatingNeeds,
  cell: Cell,
  command: Extract<Command, { type: 'key' }>,
): KeyReport | undefined {
  const mailbox = cell.find(command.key, hashKey(command.key));
  let value: KeyReport | undefined;
  if (command.action === 'pause') {
    const paused = mailbox ?? cell.mailboxOf(command.key, hashKey(command.key), environment.clock.now());
    paused.paused = true;
    scheduler.unline(paused);
    value = inspectKey(cell, paused, environment.clock.now());
  } else if (mailbox) {
    if (command.action === 'resume' || command.action === 'retryNow') {
      if (command.action === 'resume') mailbox.paused = false;
      mailbox.notBefore = 0;
      scheduler.consider(cell, mailbox);
    } else if (command.action === 'skip' && mailbox.standing !== 'running' && mailbox.head !== null) {
      const item = mailbox.head;
      scheduler.unline(mailbox);
      room.takeOut(cell, mailbox, item);
      mailbox.notBefore = 0;
      delivery.reject(
        cell,
        mailbox,
        item,
        new KeymillError('REPLAYED', 'skipped by an operator', { place: { actor: cell.name } }),
      );
      room.maybeFree(cell, mailbox);
      scheduler.consider(cell, mailbox);
    }
    value = inspectKey(cell, mailbox, environment.clock.now());
  }
  return value;
}
