/** What the tests of the `pulsar` I/O actor share: an embedded bus, the I/O actor over it, its log. */
import { onTestFinished } from 'vitest';
import { keyOf } from '../../actors/pulsar/asks.ts';
import { type BusOptions, EmbeddedBus } from '../../actors/pulsar/bus/bus.ts';
import { clientOf } from '../../actors/pulsar/client.ts';
import type { Consumer, InMessage, PulsarClient } from '../../actors/pulsar/contract.ts';
import { type PulsarOptionsInput, pulsar } from '../../actors/pulsar/index.ts';
import { type Environment, systemEnvironment } from '../../runtime/environment.ts';
import type { IoContext, IoReply, IoResource } from '../../runtime/io/contract.ts';
import type { Log } from '../../runtime/topology/define.ts';
import type { VirtualEnvironment } from '../support/virtual-clock.ts';

export const QUIET: Log = { debug() {}, info() {}, warn() {}, error() {} };

export const BUS_OPTIONS: Omit<BusOptions, 'file'> = {
  fsync: 'batch',
  maxBytes: 0,
  maxMessageBytes: 5 * 1024 * 1024,
  autoCreate: true,
  deduplication: false,
  retention: { ms: 86_400_000, bytes: 256 * 1024 * 1024 },
};

/** A bus until the test ends. */
export function busAt(
  file: string,
  options: Partial<BusOptions> = {},
  environment: Environment = systemEnvironment(),
  log: Log = QUIET,
): EmbeddedBus {
  const bus = new EmbeddedBus({ ...BUS_OPTIONS, ...options, file }, environment, log);
  onTestFinished(() => bus.close());
  return bus;
}

export interface Logged {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly text: string;
}

export function recordingLog(): { readonly log: Log; readonly logged: Logged[] } {
  const logged: Logged[] = [];
  const at = (level: string) => (fields: Record<string, unknown>, text: string) => {
    logged.push({ level, fields, text });
  };
  return { log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, logged };
}

export interface OpenedActor {
  readonly resource: IoResource;
  readonly client: PulsarClient;
  readonly logged: Logged[];
  ask(op: unknown): Promise<unknown>;
}

/** Opens `pulsar(options)` as an I/O thread would, until the test ends. */
export async function opened(
  options: PulsarOptionsInput,
  context: Partial<Pick<IoContext, 'first' | 'environment'>> = {},
): Promise<OpenedActor> {
  const { log, logged } = recordingLog();
  const spec = pulsar(options);
  const resource = await spec.open(spec.options, {
    name: 'bus',
    dataDir: '',
    first: true,
    reads: true,
    environment: systemEnvironment(),
    log,
    ...context,
  });
  const { environment } = context;
  onTestFinished(async () => {
    const closing = Promise.resolve(resource.close());
    await (environment && 'settle' in environment ? settled(environment as VirtualEnvironment, closing) : closing);
  });
  const ask = asker(() => resource);
  return { resource, client: clientOf(ask), logged, ask };
}

/** Asks as the engine does: those of one key in order and one batch at a time, of different keys at once. */
export function asker(resourceOf: () => IoResource): (op: unknown) => Promise<unknown> {
  interface Asked {
    readonly op: unknown;
    resolve(value: unknown): void;
    reject(error: unknown): void;
  }
  const waiting = new Map<string, Asked[]>();
  const run = async (key: string): Promise<void> => {
    await Promise.resolve(); // all of this turn go together
    for (let asks = waiting.get(key)!; asks.length > 0; asks = waiting.get(key)!) {
      waiting.set(key, []);
      let replies: readonly IoReply[];
      try {
        const signal = new AbortController().signal;
        replies = await resourceOf().handleBatch(
          asks.map(one => one.op),
          signal,
        );
      } catch (error) {
        replies = asks.map(() => ({ error }));
      }
      asks.forEach(({ resolve, reject }, i) => {
        const reply = replies[i]!;
        if ('error' in reply) reject(reply.error);
        else resolve(reply.value);
      });
    }
    waiting.delete(key);
  };
  return op =>
    new Promise((resolve, reject) => {
      const key = keyOf(op);
      const line = waiting.get(key);
      if (line) line.push({ op, resolve, reject });
      else {
        waiting.set(key, [{ op, resolve, reject }]);
        void run(key);
      }
    });
}

export const text = ({ payload }: Pick<InMessage, 'payload'>): string | null =>
  payload === null ? null : Buffer.from(payload).toString();

export async function take(consumer: Pick<Consumer, 'receive'>, count: number): Promise<InMessage[]> {
  const messages: InMessage[] = [];
  while (messages.length < count) messages.push(await consumer.receive());
  return messages;
}

export const texts = (messages: readonly InMessage[]): (string | null)[] => messages.map(text);
export const idsOf = (messages: readonly InMessage[]): string[] => messages.map(message => message.id);

/** What a promise on a virtual clock comes to, with all that needs no time. */
export async function settled<T>(environment: VirtualEnvironment, promise: Promise<T>): Promise<T> {
  let isOver = false;
  const over = (): void => {
    isOver = true;
  };
  promise.then(over, over);
  for (let turns = 0; !isOver; turns++) {
    if (turns > 1000) throw new Error('it waits for something that does not come');
    await environment.settle();
  }
  return promise;
}
