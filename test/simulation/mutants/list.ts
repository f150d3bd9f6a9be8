/**
 * Broken engines. Each changes at most ten lines of a production module against one of the rules or promises; the
 * simulation must notice within a thousand seeds, or it proves nothing.
 */
export interface Mutant {
  name: string;
  /** The rule or promise of DESIGN.md that it breaks. */
  breaks: string;
  file: string;
  find: string;
  replace: string;
}

export const MUTANTS: Mutant[] = [
  {
    name: 'settles before the state is written',
    breaks: 'rule 2, E12',
    file: 'runtime/host/deliver.ts',
    find: '      item.pending++; // it settles when its state is written\n',
    replace: '',
  },
  {
    name: 'counts again what comes again',
    breaks: 'rule 3, E12',
    file: 'runtime/host/durable.ts',
    find: "(item.path === '' && item.position <= counted.upTo) || counted.ids.has(idOf(item))",
    replace: 'false',
  },
  {
    name: 'a failed handler leaves its marks on the state',
    breaks: 'rule 2, E12',
    file: 'runtime/host/deliver.ts',
    find: 'cell.durable.restore(mailbox);',
    replace: '{}',
  },
  {
    name: 'saves what a dead sender sends again',
    breaks: 'rule 3, E12',
    file: 'runtime/host/saving.ts',
    find: 'if (unsaved.some(({ item }) => item.isOrphan)) this.#void(batch);\n    else {',
    replace: '{',
  },
  {
    name: 'settles before the children have',
    breaks: 'rule 2',
    file: 'runtime/host/deliver.ts',
    find: '      item.pending++;\n',
    replace: '',
  },
  {
    name: 'a failed item goes to the back of its mailbox',
    breaks: 'promise 2, rule 4',
    file: 'runtime/host/deliver.ts',
    find: '    mailbox.unshift(back, 0, back.length);\n',
    replace: '    for (const item of back) mailbox.push(item, mailbox.priority);\n',
  },
  {
    name: 'a transient failure costs an attempt',
    breaks: 'rule 5',
    file: 'runtime/host/failures.ts',
    find: "const isFree = unattributed || errorClass === 'transient' || errorClass === 'throttled';",
    replace: 'const isFree = unattributed;',
  },
  {
    name: 'a batch that fails blames its first item',
    breaks: 'rule 4',
    file: 'runtime/host/deliver.ts',
    find: 'failed[0]!.error = new Unattributed(thrown);',
    replace: '',
  },
  {
    name: 'settles a dead message before its letter is written',
    breaks: 'rule 6',
    file: 'runtime/host/failures.ts',
    find: '    this.#needs.bury(letter, () => {\n',
    replace: '    settleAs(item, DEAD);\n    this.#needs.bury(letter, () => {\n',
  },
  {
    name: 'a key goes on while a timed-out handler lingers',
    breaks: 'rule 9',
    file: 'runtime/host/running.ts',
    find: '    if (zombieMs === 0) return;\n',
    replace:
      '    (this.#needs as never as DeliveryNeeds).freed(cell, batch.mailbox);\n    if (zombieMs === 0) return;\n',
  },
  {
    name: 'keeps what a dead sender will replay',
    breaks: 'rule 9',
    file: 'runtime/host/host.ts',
    find: '        if (item.isOrphan) {\n',
    replace: '        if (item.isOrphan && item.seq < 0) {\n',
  },
  {
    name: 'drops messages of acked sources',
    breaks: 'promise 1, rule 11',
    file: 'runtime/host/room.ts',
    find: 'item.calls === 0 && (allowLoss || (item.flags & DROPPABLE) !== 0)',
    replace: 'item.calls === 0 && (allowLoss || true)',
  },
  {
    name: 'a moved partition is not waited for',
    breaks: 'rule 19',
    file: 'runtime/lanes/sender.ts',
    find: '    if (!move || this.#outstanding[partition]! > 0) return;\n',
    replace: '    if (!move) return;\n',
  },
  {
    name: 'a crash replays nothing',
    breaks: 'promise 1',
    file: 'runtime/lanes/lane.ts',
    find: '      if (frame.posted) {\n',
    replace: '      if (frame.posted) {\n        continue;\n',
  },
  {
    name: 'new messages leave before the replay',
    breaks: 'promise 2',
    file: 'runtime/lanes/lane.ts',
    find: 'for (let frame of this.outbox.unsettled()) {',
    replace: 'for (let frame of this.outbox.unsettled().reverse()) {',
  },
  {
    name: 'the source acks what it has given',
    breaks: 'promise 1',
    file: 'runtime/host/position-window.ts',
    find: '    return oldest ? oldest.position : this.#next;\n',
    replace: '    return oldest ? this.#next : this.#next;\n',
  },
  {
    name: 'a rerun numbers its children anew',
    breaks: 'rule 1',
    file: 'runtime/host/deliver.ts',
    find: 'item.children = item.asks = 0;',
    replace: 'item.asks = 0;',
  },
  {
    name: 'drops what a dead sender cannot replay',
    breaks: 'rule 9',
    file: 'runtime/mailbox/item.ts',
    find: 'return !this.origin.alive && (this.flags & REPLAYABLE) !== 0 && !this.parking;',
    replace: 'return !this.origin.alive && !this.parking;',
  },
  {
    name: 'one death alone is enough for quarantine',
    breaks: 'rule 10',
    file: 'runtime/supervisor/suspects.ts',
    find: 'if (deaths === this.#quarantineAfter)',
    replace: 'if (deaths === 1)',
  },
  {
    name: 'an uninvolved kill counts as a death',
    breaks: 'rule 10',
    file: 'runtime/supervisor/supervisor.ts',
    find: "reason === 'crash' || reason === 'stuck' || reason === 'zombie')",
    replace: 'true)',
  },
  {
    name: 'a stale frame is not bounced',
    breaks: 'rule 19',
    file: 'runtime/host/host.ts',
    find: 'homesSeen !== this.homes.version && this.#isStray(item, homesSeen)',
    replace: 'homesSeen < 0 && this.#isStray(item, homesSeen)',
  },
  {
    name: 'a home is released while a handler runs',
    breaks: 'rule 19',
    file: 'runtime/host/releases.ts',
    find: '        if (mailbox.inFlight !== null) running.add(mailbox);\n        else this',
    replace: '        this',
  },
  {
    name: 'a drain does not wait for what is unsettled',
    breaks: 'rule 17',
    file: 'runtime/supervisor/supervisor.ts',
    find: 'return this.sourcesSettled && this.main.sender.unsettled === 0;',
    replace: 'return this.sourcesSettled;',
  },
  {
    name: 'two keys have one number',
    breaks: 'promise 2',
    file: 'runtime/lanes/key-numbers.ts',
    find: 'const number = ++this.#last;',
    replace: 'const number = (++this.#last % 3) + 1;',
  },
  {
    name: 'a mailbox that left memory takes messages',
    breaks: 'promise 2, rule 16',
    file: 'runtime/host/cell.ts',
    find: 'known?.isResident === true',
    replace: 'known !== undefined',
  },
];
