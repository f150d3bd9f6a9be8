/** What `check` finds out about a server: what the start would come by, and nothing is left behind. */
import { type Environment, KeymillError, type Log } from '../../../runtime/index.ts';
import type { SqlRead } from '../contract.ts';
import { Captured } from './captured.ts';
import { Changes } from './changes.ts';
import { Connection } from './connection.ts';
import { columnOf, keyColumns } from './names.ts';
import { Schema } from './schema.ts';
import type { MssqlOptions } from './server-options.ts';
import { SERVER, serverFacts } from './statements/server.ts';

type Wanted = Pick<SqlRead, 'table' | 'columns' | 'track'> & { readonly from: 'tracking' | 'cdc' };

/** Throws SQL_UNAVAILABLE, ACCESS_REFUSED, CONFIG_INVALID, TABLE_UNKNOWN, TABLE_NO_KEY, SQL_IDENTIFIER, TRACKING_OFF, SQL_FAILED. */
export async function rehearseServer(
  options: MssqlOptions,
  read: Wanted | null,
  { environment, log }: { readonly environment: Environment; readonly log: Log },
): Promise<void> {
  if (read !== null && read.from !== 'cdc' && options.connect.readOnlyIntent)
    throw new KeymillError(
      'CONFIG_INVALID',
      'readOnlyIntent: Change Tracking is on the primary only (22117); leave it out for an I/O actor that tables are read from',
      { place: { at: 'readOnlyIntent' } },
    );
  const connection = await Connection.open(options.connect, environment, log);
  try {
    const { sets } = await connection.run(SERVER);
    const facts = serverFacts(sets[0]?.rows[0] ?? []);
    if (read === null) return;
    const schema = new Schema(command => connection.run(command));
    const table = await schema.table(read.table);
    keyColumns(table);
    for (const name of read.columns ?? []) columnOf(table, name);
    if (read.from === 'cdc') {
      if (read.track)
        throw new KeymillError('CONFIG_INVALID', `track: CDC is turned on by hand: EXEC sys.sp_cdc_enable_table`, {
          place: { at: 'track' },
        });
      const captured = new Captured({
        table: read.table,
        environment,
        log,
        find: name => schema.table(name),
        forget: name => schema.forget(name),
        ask: command => connection.run(command),
        point: async () => null,
        setPoint: async () => false,
      });
      await captured.tracked();
      return;
    }
    if (options.requireSnapshot && !facts.allowsSnapshots)
      throw new KeymillError(
        'SQL_FAILED',
        'requireSnapshot: the database allows no snapshots: ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON',
        { class: 'fatal' },
      );
    if (read.track && !table.isTracked) return;
    const changes = new Changes({
      schema,
      ask: async commands => {
        for (const command of commands.slice(0, -1)) await connection.run(command);
        return connection.run(commands.at(-1)!);
      },
      how: async () => ({ snapshot: false, tellsCommitTimes: false }),
      snapshotRefused: () => undefined,
      looked: () => undefined,
      endOfTurn: fn => environment.endOfTurn(fn),
    });
    await changes.tracked(read.table);
  } finally {
    connection.close();
  }
}
