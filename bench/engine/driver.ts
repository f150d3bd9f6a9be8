/** Runs in a child: drives one contestant, and proves each run complete. All are driven by this same code. */
import type { Commands } from '../lib/child.ts';
import { now } from '../lib/clock.ts';
import { type Load, Messages } from '../lib/message.ts';
import { Tally } from '../lib/tally.ts';
import { RIVALS, type RivalModule, type RivalName, type Setup } from '../rivals/rival.ts';
import { asks, atPace, oneByOne, type Pace, tells } from './drive.ts';
import { type Paced, Proof, type Run } from './proof.ts';

export interface DriverSetup extends Setup, Load {
  readonly rival: RivalName;
}

type What = 'tell' | 'ask';

export async function open({ rival: name, keys, bytes, hot = 0, ...setup }: DriverSetup): Promise<Commands> {
  const tally = new Tally();
  const began = now();
  const { file, ordered } = RIVALS[name];
  const module = (await import(`../rivals/${file}`)) as RivalModule;
  const loaded = now();
  const rival = await module.open(setup, name.split(' ')[1] ?? '', tally);
  const messages = new Messages({ keys, bytes, hot });
  const proof = new Proof(tally, messages, { ordered, acknowledged: () => rival.acknowledged() });
  const way = (what: What) => (what === 'tell' ? { send: rival.send } : { ask: rival.ask });
  const drained = async (paced: Promise<Paced>): Promise<Paced> => {
    const result = await paced;
    await rival.drained();
    return result;
  };
  return {
    /** Milliseconds to load the contestant's code, and from then to the first reply. */
    async startUp(): Promise<{ loadMs: number; replyMs: number }> {
      await rival.ask(messages.make(0));
      return { loadMs: (loaded - began) / 1e6, replyMs: (now() - loaded) / 1e6 };
    },
    /** Changes what is sent from now on. */
    async become(load: Load): Promise<void> {
      messages.become(load);
    },
    tells: ({ work = 0, ...length }: { ms: number; count?: number; work?: number }): Promise<Run> =>
      proof.of({ work }, async () => {
        await tells(rival.send, messages, length);
        await rival.drained();
      }),
    asks: (input: { ms: number; inFlight: number }): Promise<Run> =>
      proof.of({ asks: true }, () => asks(rival.ask, messages, input)),
    idle: ({ what, ...input }: { what: What; count: number; gapMs: number }): Promise<Run & Paced> =>
      proof.paced(what, () => drained(oneByOne(way(what), messages, input))),
    paced: ({ what, ...pace }: Pace & { what: What }): Promise<Run & Paced> =>
      proof.paced(what, () => drained(atPace(way(what), messages, pace))),
    close: () => rival.close(),
  };
}
