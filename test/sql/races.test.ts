/** The races on the embedded database. */
import { copyFileSync, mkdtempSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RaceBench, sqlRaces } from './races.ts';
import { openSqlite } from './support.ts';

async function openAt(folder: string, snapshot: boolean): Promise<RaceBench> {
  const [path, backup] = [join(folder, 'shop.db'), join(folder, 'backup.db')];
  const acts: { readonly step: string; readonly act: () => void }[] = [];
  const bench = await openSqlite({
    path,
    snapshot,
    onStep: step => {
      const [next] = acts;
      if (next?.step !== step) return;
      acts.shift();
      next.act();
    },
  });
  return {
    ...bench,
    before: (step, act) =>
      new Promise(resolve => {
        acts.push({ step, act: () => void act().then(() => resolve()) });
      }),
    async backUp() {
      // With the log written into the file.
      await bench.elsewhere('PRAGMA wal_checkpoint(TRUNCATE)');
      copyFileSync(path, backup);
    },
    async restore() {
      for (const end of ['-wal', '-shm'])
        try {
          unlinkSync(path + end);
        } catch {}
      copyFileSync(backup, `${path}.new`);
      renameSync(`${path}.new`, path);
    },
    async reopen(meanwhile) {
      await bench.close();
      await meanwhile?.();
      return openAt(folder, snapshot);
    },
    async close() {
      await bench.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

for (const snapshot of [true, false])
  sqlRaces(`sqlite, snapshot ${snapshot}`, {
    steps: ['look', 'changes', 'check'],
    fixedFrom: snapshot ? 'changes' : null,
    truncatedBefore: [], // by its own driver, which is busy with the page
    open: () => openAt(mkdtempSync(join(tmpdir(), 'keymill-races-')), snapshot),
  });
