/** Returns as a receiver would send them. */
import { fromWire } from '../../runtime/errors.ts';
import type { Returns } from '../../runtime/lanes/port.ts';
import { ReturnsWriter } from '../../runtime/lanes/returns.ts';
import type { Carried } from '../../runtime/lanes/text.ts';

const writer = new ReturnsWriter();

/** Errors among the replies are as they are on their way. */
export function packReturns({ replies, ...rest }: Returns): Carried {
  for (const { seq, ok, value } of replies ?? []) writer.reply(seq, ok, ok ? value : fromWire(value as never));
  return writer.finish(rest);
}
