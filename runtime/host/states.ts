/** Gives the actors of a host that keep durable states their store, and reads all states of an actor that wants them at once. */
import type { Environment } from '../environment.ts';
import type { StateStore } from '../io/contract.ts';
import type { Homes } from '../lanes/homes.ts';
import { hashKey } from '../lanes/key-hash.ts';
import type { Log } from '../topology/define.ts';
import type { Cell } from './cell.ts';
import { Durable, keyOf, prefixOf } from './durable.ts';
import type { HostPlan } from './host-plan.ts';
import type { Outgoing } from './outgoing.ts';

interface StatesHost {
  readonly plan: HostPlan;
  readonly environment: Environment;
  readonly outgoing: Outgoing;
  readonly homes: Homes;
  readonly cells: readonly (Cell | null)[];
  logOf(actor: string): Log;
}

export function openStates(host: StatesHost): void {
  const { environment, plan } = host;
  const { lowOf, isOrdered } = plan.sources;
  for (const cell of host.cells) {
    const { persist } = cell?.options ?? {};
    if (!cell || !persist) continue;
    cell.durable = new Durable(cell, {
      environment,
      log: host.logOf(cell.name),
      store: storeOf(host, persist.in),
      lowOf,
      isOrdered,
    });
  }
}

/** Those of keys whose home is here. */
export async function restoreStates(host: StatesHost, cell: Cell): Promise<void> {
  const { persist } = cell.options;
  if (persist?.restore !== 'eager') return;
  for await (const name of storeOf(host, persist.in).names(prefixOf(cell.name))) {
    const key = keyOf(cell.name, name);
    const hash = hashKey(key);
    if (host.homes.homeOf(hash & host.homes.mask) !== host.plan.slot) continue;
    const mailbox = cell.mailboxOf(key, hash, host.environment.clock.now());
    if (!cell.durable!.isLoaded(mailbox)) await cell.durable!.load(mailbox);
  }
}

export function storeOf({ plan, outgoing }: Pick<StatesHost, 'plan' | 'outgoing'>, io: string): StateStore {
  const index = plan.actors.findIndex(actor => actor.name === `io:${io}`);
  return plan.actors[index]!.io!.store!(op => outgoing.askIo(index, op, null));
}
