/** The `redis` I/O actor as an I/O thread has it, without a runtime around it: also for threads and processes that are no test. */
import { clientOf } from '../../actors/redis/client.ts';
import { type RedisClient, type RedisOptionsInput, redis } from '../../actors/redis/index.ts';
import { keyOf } from '../../actors/redis/ops.ts';
import { systemEnvironment } from '../../runtime/environment.ts';
import { ReplyError } from '../../runtime/host/failed.ts';
import { IoActor } from '../../runtime/host/io-actor.ts';
import type { IoContext, IoResource } from '../../runtime/io/contract.ts';
import { asker as askerOf } from './asker.ts';

export interface Logged {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly text: string;
}

export interface OpenedDriver {
  readonly client: RedisClient;
  /** Another client, with a queue of its own. */
  another(): RedisClient;
  readonly resource: IoResource;
  readonly logged: readonly Logged[];
  close(): Promise<void>;
}

export interface DriverOptions {
  /** Asks pass the policies of the I/O actor: time-out, retries, breaker. Else one is one try. */
  readonly guarded?: boolean;
}

type Batch = (asks: readonly unknown[]) => Promise<readonly unknown[]>;

/** Rejects with what the driver throws. */
export async function openDriver(
  options: RedisOptionsInput,
  { guarded = false }: DriverOptions = {},
): Promise<OpenedDriver> {
  const logged: Logged[] = [];
  const at = (level: string) => (fields: Record<string, unknown>, text: string) => {
    logged.push({ level, fields, text });
  };
  const environment = systemEnvironment();
  const context: IoContext = {
    name: 'redis',
    dataDir: '',
    reads: false,
    first: true,
    environment,
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
  };
  const io = new IoActor('redis', redis(options), context, () => {});
  await io.open(environment);
  const { resource } = io;
  const { signal } = new AbortController();
  const { handleBatch } = io.definition as unknown as {
    handleBatch(asks: readonly unknown[], ctx: { readonly signal: AbortSignal }): Promise<unknown[]>;
  };
  const bare: Batch = async asks => {
    const replies = await resource.handleBatch(asks, signal);
    return replies.map(reply => ('error' in reply ? new ReplyError(reply.error) : reply.value));
  };
  const batch: Batch = guarded ? asks => handleBatch(asks, { signal }) : bare;
  return {
    client: clientOf(asker(batch)),
    another: () => clientOf(asker(batch)),
    resource,
    logged,
    close: () => io.close(),
  };
}

/** Asks of one key one batch after the other, each of what came meanwhile; other keys beside them. */
function asker(batch: Batch): (op: unknown) => Promise<unknown> {
  return askerOf(
    async ops =>
      (await batch(ops)).map(reply => (reply instanceof ReplyError ? { error: reply.error } : { value: reply })),
    op => keyOf(op, 0),
  );
}
