/** A child of the bench: loads the module it was named, opens it, and answers calls until `close`. */
import type { Commands, Open, Request, Response } from './child.ts';

let commands: Commands | undefined;

const answer = (response: Response): void => void process.send!(response);

process.on('message', async ({ id, command, input }: Request) => {
  try {
    if (command === 'open') {
      const { open } = (await import(process.argv[2]!)) as { open: Open };
      commands = await open(input as never);
      answer({ id, value: undefined });
    } else answer({ id, value: await commands![command]!(input as never) });
    if (command === 'close') process.once('disconnect', () => process.exit());
  } catch (error) {
    answer({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
});
