/**
 * Types flow from an actor's definition to where its messages are sent. What must not compile stands under
 * `@ts-expect-error`, so `tsc` is the test; running it shows only that none of it is evaluated by mistake.
 */
import { describe, expectTypeOf, it } from 'vitest';
import {
  type Actor,
  type ActorHandle,
  type BatchContext,
  type Context,
  defineActor,
  defineSource,
  defineTopology,
  type Key,
  type MessageOf,
  type ReplyOf,
  type Runtime,
  type start,
} from '../../runtime/index.ts';

interface Order {
  id: string;
  amount: number;
}

const orders = defineActor<Order, { total: number }, { sum: number }>({
  key: order => order.id,
  state: () => ({ sum: 0 }),
  handle: (order, ctx) => {
    expectTypeOf(order).toEqualTypeOf<Order>();
    expectTypeOf(ctx).toEqualTypeOf<Context<{ sum: number }>>();
    return { total: ctx.state.sum + order.amount };
  },
});

const log = defineActor<string>({
  key: () => 'log',
  handleBatch: (lines, ctx) => {
    expectTypeOf(lines).toEqualTypeOf<readonly string[]>();
    expectTypeOf(ctx).toEqualTypeOf<BatchContext<string, undefined>>();
  },
});

const topology = defineTopology({
  name: 'shop',
  actors: {
    orders,
    log: { use: log, priority: 1 },
    lazy: { use: () => import('./fixtures/actor.ts') },
    url: { use: new URL('./fixtures/actor.ts', import.meta.url) },
  },
});

/** Never called: only its types matter. */
type Unrun = (runtime: Runtime<typeof topology.definition.actors>, ctx: Context, batch: BatchContext) => Promise<void>;

describe('the types', () => {
  it('of an actor are those of its definition', () => {
    expectTypeOf(orders).toEqualTypeOf<Actor<Order, { total: number }, { sum: number }>>();
    expectTypeOf(log).toEqualTypeOf<Actor<string, void, undefined>>();
  });

  it('of a message and a reply are inferred from the handler', () => {
    const doubled = defineActor({ key: (n: number) => n, handle: async (n: number) => 2n * BigInt(n) });
    expectTypeOf<MessageOf<typeof doubled>>().toEqualTypeOf<number>();
    expectTypeOf<ReplyOf<typeof doubled>>().toEqualTypeOf<bigint>();
  });

  it('of an entry of a topology are those of its actor, however it is named', () => {
    type Actors = typeof topology.definition.actors;
    expectTypeOf<MessageOf<Actors['orders']>>().toEqualTypeOf<Order>();
    expectTypeOf<ReplyOf<Actors['orders']>>().toEqualTypeOf<{ total: number }>();
    expectTypeOf<MessageOf<Actors['log']>>().toEqualTypeOf<string>();
    expectTypeOf<MessageOf<Actors['lazy']>>().toEqualTypeOf<{ id: string }>();
    expectTypeOf<ReplyOf<Actors['lazy']>>().toEqualTypeOf<number>();
    expectTypeOf<MessageOf<Actors['url']>>().toEqualTypeOf<unknown>();
  });

  it('reach the runtime', () => {
    expectTypeOf<Awaited<ReturnType<typeof start<typeof topology.definition.actors>>>>().toEqualTypeOf<
      Runtime<typeof topology.definition.actors>
    >();
    const uses: Unrun = async runtime => {
      await runtime.tell('orders', { id: 'a', amount: 1 });
      await runtime.tell('log', 'line', { until: 'settled' });
      expectTypeOf(await runtime.ask('orders', { id: 'a', amount: 1 })).toEqualTypeOf<{ total: number }>();
      expectTypeOf(await runtime.ask('log', 'line')).toEqualTypeOf<void>();
      expectTypeOf(runtime.tryTell('log', 'line')).toEqualTypeOf<boolean>();
      expectTypeOf(runtime.actor('orders')).toEqualTypeOf<ActorHandle<Order, { total: number }>>();
      await runtime.actor('lazy').tell({ id: 'x' });
      // @ts-expect-error an order has an amount
      await runtime.tell('orders', { id: 'a' });
      // @ts-expect-error a line is a string
      await runtime.tell('log', 5);
      // @ts-expect-error there is no such actor
      await runtime.tell('nobody', 5);
      // @ts-expect-error the amount is a number
      await runtime.ask('orders', { id: 'a', amount: '1' });
      // @ts-expect-error a line is a string
      runtime.actor('log').tryTell({});
      // @ts-expect-error there is no such actor
      runtime.actor('nobody');
      // @ts-expect-error no such time
      await runtime.tell('log', 'line', { until: 'later' });
    };
    expectTypeOf(uses).toBeFunction();
  });

  it('hold for what handlers send and ask', () => {
    const uses: Unrun = async (_runtime, ctx, batch) => {
      ctx.send(orders, { id: 'a', amount: 1 });
      ctx.send('orders', { anything: 'goes by name' });
      batch.send(0, log, 'line', { priority: 0 });
      expectTypeOf(await ctx.ask(orders, { id: 'a', amount: 1 })).toEqualTypeOf<{ total: number }>();
      expectTypeOf(ctx.key).toEqualTypeOf<Key>();
      // @ts-expect-error an order has an amount
      ctx.send(orders, { id: 'a' });
      // @ts-expect-error a line is a string
      ctx.send(log, 5);
      // @ts-expect-error a line is a string
      batch.send(0, log, 5);
      // @ts-expect-error a batch names the parent of each child
      batch.send(log, 'line');
      // @ts-expect-error an order has an amount
      await ctx.ask(orders, { id: 'a' });
      // @ts-expect-error no such option
      ctx.send(log, 'line', { deadline: 5 });
    };
    expectTypeOf(uses).toBeFunction();
  });

  it('hold for definitions', () => {
    const definitions = () => {
      // @ts-expect-error a key is a string, a number or a bigint
      defineActor<Order>({ key: order => ({ id: order.id }), handle() {} });
      // @ts-expect-error the reply is a number
      defineActor<Order, number>({ key: order => order.id, handle: () => 'text' });
      // @ts-expect-error no such option
      defineActor<Order>({ key: order => order.id, handle() {}, options: { batch: { size: 5 } } });
      // @ts-expect-error no such mode
      defineTopology({ name: 'x', actors: { orders: { use: orders, mailbox: { full: 'Drop' } } } });
      // @ts-expect-error no such option
      defineTopology({ name: 'x', graceSeconds: 5, actors: { orders } });
      defineSource<Order>({ poll: size => Array.from({ length: size }, () => ({ id: 'a', amount: 1 })) });
      // @ts-expect-error not orders
      defineSource<Order>({ poll: () => [1] });
    };
    expectTypeOf(definitions).toBeFunction();
  });
});
