/** The simulated actors: they do what their messages say, and tell the judge. */
import { ClassifiedError } from '../../runtime/errors.ts';
import type { Simulation } from '../../runtime/testing/simulation.ts';
import { type Actor, type BatchContext, type Context, defineActor } from '../../runtime/topology/define.ts';
import { type Judge, Violation } from './judge.ts';
import type { Message } from './message.ts';

/** What they act in. */
export interface World {
  readonly judge: Judge;
  readonly simulation: Simulation;
  /** A promise was broken where no engine code may catch it. */
  fail(error: unknown): void;
}

export const OUTPUT = 'output';
type Write = (op: string) => Promise<unknown>;

/** A new one each time: a promise keeps who waits for it. */
const never = (): Promise<never> => new Promise(() => undefined);

export function single(world: World): Actor<Message, number | null> {
  return defineActor<Message, number | null>({
    key: message => message.key,
    handle: (message, ctx) => handle(world, message, ctx),
    onPassivate: () => undefined,
    state: () => [] as never,
  }) as Actor<Message, number | null>;
}

export function batched(world: World): Actor<Message> {
  return defineActor<Message>({
    key: message => message.key,
    handleBatch: (batch, ctx) => handleBatch(world, batch, ctx as never),
  }) as Actor<Message>;
}

function handle(world: World, message: Message, ctx: Context): number | null | Promise<number | null> {
  const { judge, simulation } = world;
  const node = simulation.scheduler.current!;
  if (!node.alive) return never();
  if (message.id.startsWith('inner')) return message.value;
  judge.begin([message.id], node, [ctx.id]);
  const call = judge.of(message.id).begun;
  (ctx.state as string[]).push(message.id); // also where it then fails
  if (message.poison) {
    simulation.crashHost(ctx.host);
    return never();
  }
  for (const child of message.children) ctx.send(child.actor, child);
  const end = (): number | null => {
    if (!node.alive) return never() as never;
    const failure = message.fails[call - 1];
    if (failure) {
      judge.failed([message.id]);
      throw new ClassifiedError(failure, `planned ${failure} of ${message.id}`);
    }
    judge.succeeded([message.id], node);
    return message.value;
  };
  const wait = call === 1 && message.hang !== 0 ? message.hang : message.sleep;
  if (wait === -1) {
    judge.of(message.id).failed = true;
    return never();
  }
  if (message.hang > 0) judge.of(message.id).failed = true;
  if (wait === 0 && !message.ask && !message.writes) return end();
  return later(world, message, ctx, wait, end);
}

async function later(
  world: World,
  message: Message,
  ctx: Context,
  wait: number,
  end: () => number | null,
): Promise<number | null> {
  const { judge, simulation } = world;
  if (wait > 0) await simulation.sleep(wait);
  try {
    if (message.writes) await ctx.io<Write>(OUTPUT)(message.id);
    if (message.ask) {
      const { value } = message.ask;
      const answer = await ctx.ask<Message, number>(message.ask.actor, innerOf(message));
      if (answer !== value) world.fail(new Violation(`the ask of ${message.id} was answered ${answer}, not ${value}`));
    }
  } catch (error) {
    if (simulation.isGhost) return never();
    judge.failed([message.id]);
    throw error;
  }
  return end();
}

/** The question that a message asks another actor. */
function innerOf({ id, ask }: Message): Message {
  return {
    id: `inner:${id}`,
    stream: '',
    n: 0,
    actor: ask!.actor,
    key: ask!.key,
    sleep: 0,
    fails: [],
    hang: 0,
    poison: false,
    children: [],
    ask: null,
    writes: false,
    value: ask!.value,
  };
}

async function handleBatch(world: World, batch: readonly Message[], ctx: BatchContext<Message>): Promise<void> {
  const { judge, simulation } = world;
  const node = simulation.scheduler.current!;
  if (!node.alive) return never();
  const ids = batch.map(message => message.id);
  judge.begin(
    ids,
    node,
    batch.map((_, index) => ctx.idOf(index)),
  );
  const calls = batch.map(message => judge.of(message.id).begun);
  if (batch.some(message => message.poison)) {
    simulation.crashHost(ctx.host);
    return never();
  }
  batch.forEach((message, index) => {
    for (const child of message.children) ctx.send(index, child.actor, child);
  });
  const hanging = batch.find((message, i) => calls[i] === 1 && message.hang !== 0);
  if (hanging) for (const id of ids) judge.of(id).failed = true;
  if (hanging?.hang === -1) return never();
  const wait = hanging ? hanging.hang : Math.max(...batch.map(message => message.sleep));
  if (wait > 0) await simulation.sleep(wait);
  if (!node.alive) return never();
  // Half of the failing batches say which item it was, the other half throw.
  const failing = batch.map((message, i) => message.fails[calls[i]! - 1]);
  const first = failing.findIndex(failure => failure !== undefined);
  if (first < 0) return judge.succeeded(ids, node);
  if (batch[first]!.n % 2 === 0) {
    judge.failed(ids);
    throw new ClassifiedError(failing[first]!, `planned ${failing[first]} of a batch with ${batch[first]!.id}`);
  }
  const behind = new Set<string>();
  batch.forEach((message, index) => {
    const failure = failing[index];
    if (behind.has(message.key)) judge.failed([message.id]);
    else if (failure) {
      behind.add(message.key);
      judge.failed([message.id]);
      ctx.fail(index, new ClassifiedError(failure, `planned ${failure} of ${message.id}`));
    } else judge.succeeded([message.id], node);
  });
}
