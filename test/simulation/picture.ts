/** Where everything stands, for the log of a failing seed. */
import type { Message } from './message.ts';
import type { Scenario } from './scenario.ts';

const SHORT = new Set(['message', 'parent', 'running', 'sentBy', 'refuge']);
const json = (value: unknown): string => JSON.stringify(value, (name, part) => (SHORT.has(name) ? undefined : part));

export function* pictureOf({ judge, simulation, openTells }: Scenario): Iterable<string> {
  const { supervisor, threads } = simulation;
  yield `open tells ${openTells}, parked ${simulation.parkedCount}, sources settled ${supervisor.sourcesSettled}, main unsettled ${supervisor.main.sender.unsettled}, store broken ${simulation.storeBroken}`;
  for (const message of simulation.parkedBodies() as Iterable<Message>)
    yield `parked ${message.id} ${message.actor}/${message.key} ${message.id.startsWith('inner') ? '' : json(judge.of(message.id))}`;
  yield `main ${json(supervisor.main.sender.snapshots())}`;
  for (const slot of supervisor.slots)
    if (slot) yield `slot ${slot.index} ${slot.status} @${slot.incarnation} suspects ${json(slot.suspects)}`;
  for (const { node, thread } of threads.living.values()) {
    const { host } = thread;
    yield `${node.name} stalled until ${node.stalledUntil} lanes ${json(host.sender.snapshots())} running ${host.scheduler.running}`;
    const unsettled: string[] = [];
    host.sender.eachUnsettled(message =>
      unsettled.push((message.body as Message).id ?? JSON.stringify(message.body).slice(0, 60)),
    );
    yield `  unsettled ${unsettled.join(' ')}`;
    for (const cell of host.cells)
      if (cell)
        for (const mailbox of cell.mailboxes())
          if (mailbox.count > 0 || mailbox.standing === 'running' || mailbox.parked > 0)
            yield `  ${cell.name}/${String(mailbox.key)} ${mailbox.standing} line ${mailbox.line} count ${mailbox.count} notBefore ${mailbox.notBefore} paused ${mailbox.paused} stopped ${cell.stopped} parked ${mailbox.parked} suspects ${mailbox.suspects} head ${mailbox.head?.id}`;
  }
  for (const record of judge.records.values())
    if (record.accepted && !judge.isOver(record.message.id)) yield `not over: ${record.message.id} ${json(record)}`;
}
