/**
 * An I/O actor on the thread that owns it: a batch actor whose handler passes the asks of a drain to the resource, under
 * the policies of its spec. Its errors are replies: the one who asked decides what next.
 */
import type { Environment } from '../environment.ts';
import { classOf } from '../errors.ts';
import { DEFAULT_IO_POLICY, type IoContext, type IoReply, type IoResource, type IoSpec } from '../io/contract.ts';
import { createPolicy, type Policy } from '../policies/policy.ts';
import type { AnyDefinition, BatchContext } from '../topology/define.ts';
import { ReplyError } from './failed.ts';

export class IoActor {
  readonly name: string;
  readonly #spec: IoSpec;
  readonly #context: IoContext;
  readonly #onBreaker: (open: boolean) => void;
  #resource: IoResource | null = null;
  #policy: Policy | null = null;

  constructor(name: string, spec: IoSpec, context: IoContext, onBreaker: (open: boolean) => void) {
    this.name = name;
    this.#spec = spec;
    this.#context = context;
    this.#onBreaker = onBreaker;
  }

  /** Once it is open. */
  get resource(): IoResource {
    return this.#resource!;
  }

  get policy(): Policy | null {
    return this.#policy;
  }

  /** Opens the resource. Throws what the driver throws. */
  async open(environment: Environment): Promise<void> {
    this.#resource = await this.#spec.open(this.#spec.options, this.#context);
    const { probe } = this.#resource;
    this.#policy = createPolicy(
      `io:${this.name}`,
      { ...(this.#spec.policy ?? DEFAULT_IO_POLICY), ...(probe ? { probe: () => probe.call(this.#resource) } : {}) },
      environment,
    );
    let wasOpen = false;
    this.#policy.onState(state => {
      // Half open with a probe, calls are refused still: only the probe's success lets them through.
      const open = state === 'open' || state === 'forcedOpen' || (state === 'halfOpen' && probe !== undefined);
      if (open !== wasOpen) this.#onBreaker(open);
      wasOpen = open;
    });
  }

  /** The definition that the engine runs. */
  get definition(): AnyDefinition {
    return {
      key: ask => this.#spec.key(ask, 0),
      handleBatch: (asks: readonly unknown[], ctx: BatchContext) => this.#handle(asks, ctx.signal),
    };
  }

  async close(): Promise<void> {
    this.#policy?.close();
    await this.#resource?.close();
  }

  /** One reply per ask. Asks that failed in a way that may heal are tried again, those that were answered are not. */
  async #handle(asks: readonly unknown[], signal: AbortSignal): Promise<unknown[]> {
    const replies: (IoReply | undefined)[] = new Array(asks.length).fill(undefined);
    let open = asks.map((_, index) => index);
    try {
      await this.#policy!.execute(
        async ctx => {
          const answered = await this.#resource!.handleBatch(
            open.map(index => asks[index]),
            ctx.signal,
          );
          let healing: unknown;
          const again: number[] = [];
          open.forEach((index, i) => {
            const reply = answered[i]!;
            replies[index] = reply;
            if (!('error' in reply)) return;
            const errorClass = classOf(reply.error);
            if (errorClass !== 'transient' && errorClass !== 'throttled') return;
            healing ??= reply.error;
            again.push(index);
          });
          open = again;
          if (again.length > 0) throw healing;
        },
        { signal },
      );
    } catch (error) {
      for (const index of open) replies[index] = { error };
    }
    return replies.map(reply => ('error' in reply! ? new ReplyError(reply.error) : reply!.value));
  }
}
