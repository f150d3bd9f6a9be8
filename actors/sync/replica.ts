/** Applies published changes to a database of its own, once each and in order of their versions (Y1, Y2, D10). */
import { type Actor, defineActor, isKeymillError } from '../../runtime/index.ts';
import type { Delta, SqlClient } from '../sql/contract.ts';
import { type DataSyncMessage, decodeRow, versionOf } from './message.ts';

export interface ReplicaOptions {
  /** Name of the `sql` I/O actor that holds the replica. Its tables have the names and columns of the source's. */
  readonly sql?: string | undefined;
}

/**
 * Makes the actor that a subscription to the data topic goes to. A batch goes across keys, so that one transaction takes
 * them all; each key keeps its order. Its `applied` times run from the change in the source to here; those of
 * `conflict` are of messages that were left out, since the replica has their version or a newer one.
 */
export function applyReplica({ sql = 'replica' }: ReplicaOptions = {}): Actor<DataSyncMessage, void> {
  return defineActor<DataSyncMessage, void>({
    key: message => `${message.tableName}/${message.recordId}`,
    async handleBatch(messages, ctx) {
      const client = ctx.io<SqlClient>(sql);
      const byTable = new Map<string, number[]>();
      for (const [index, { tableName }] of messages.entries()) {
        const indexes = byTable.get(tableName);
        if (indexes) indexes.push(index);
        else byTable.set(tableName, [index]);
      }
      await Promise.all(
        Array.from(byTable, async ([table, indexes]) => {
          try {
            const outcomes = await client.apply(
              table,
              indexes.map(index => deltaOf(messages[index]!)),
            );
            for (const [i, outcome] of outcomes.entries())
              ctx.observe(
                outcome === 'applied' ? 'applied' : 'conflict',
                Date.now() - messages[indexes[i]!]!.timestamp,
              );
          } catch (error) {
            // One row that cannot be written must not hold up the others for ever: alone it says which it is.
            if (indexes.length === 1 && isKeymillError(error)) ctx.fail(indexes[0]!, error);
            else throw error;
          }
        }),
      );
    },
    options: { batch: { across: 'keys', flushMs: 0 } },
  });
}

function deltaOf(message: DataSyncMessage): Delta {
  return {
    pk: decodeRow(message.pk),
    version: versionOf(message),
    data: message.delta && decodeRow(message.delta),
  };
}
