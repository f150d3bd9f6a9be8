/** Leases in the database, for who reads a table. */
import { isKeymillError, KeymillError } from '../../../runtime/index.ts';
import type { Leases } from '../driver.ts';
import type { Command } from './command.ts';
import type { Answer } from './connection.ts';
import type { OwnTables } from './own-tables.ts';
import { renewLeadCommand, seeTokenCommand, takeLeadCommand } from './statements/leaders.ts';

export interface LeasesNeeds {
  readonly own: OwnTables;
  readonly ownSchema: string;
  /** Why nothing can be kept there; null where it can. */
  readonly refused: string | null;
  readonly ask: (command: Command) => Promise<Answer>;
}

export function leasesOf({ own, ownSchema, refused, ask }: LeasesNeeds): Leases {
  const asked = async (command: Command): Promise<Answer> => {
    if (refused !== null) throw new KeymillError('STORE_READ_ONLY', `a leader cannot keep its position: ${refused}`);
    await own.need('keymill_leaders');
    try {
      return await ask(command);
    } catch (error) {
      throw (isKeymillError(error) && own.isGone(error as KeymillError)) || error;
    }
  };
  return {
    async take(lease, owner, leaseMs) {
      const { sets } = await asked(takeLeadCommand(ownSchema, { lease, owner, leaseMs }));
      const [its, token, leftMs, mark, isTaken] = sets[0]!.rows[0]!;
      return {
        isMine: Number(isTaken) === 1,
        owner: String(its),
        token: Number(token),
        leftMs: Number(leftMs),
        mark: mark === null ? null : String(mark),
      };
    },
    async renew(lease, token, leaseMs) {
      const { sets } = await asked(renewLeadCommand(ownSchema, { lease, token, leaseMs }));
      return Number(sets[0]!.rows[0]![0]) === 1;
    },
    async release(lease, token) {
      await asked(renewLeadCommand(ownSchema, { lease, token, leaseMs: 0 }));
    },
    async see(lease, token) {
      await asked(seeTokenCommand(ownSchema, { lease, token }));
    },
  };
}
