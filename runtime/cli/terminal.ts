/** Colours and progress for people; plain lines when nobody watches. NO_COLOR is honoured (no-color.org). */
import { styleText } from 'node:util';
import type { Summary } from '../observe/summary.ts';

export interface Paint {
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  dim(text: string): string;
}

export function paintFor(stream: { isTTY?: boolean }, environment: Record<string, string | undefined>): Paint {
  const on = stream.isTTY === true && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb';
  const style = (name: 'red' | 'green' | 'yellow' | 'dim') => (text: string) =>
    on ? styleText(name, text, { validateStream: false }) : text;
  return { red: style('red'), green: style('green'), yellow: style('yellow'), dim: style('dim') };
}

/** One line about how far it is: rate, settled, depth, retries, dead. */
export function progressLine(now: Summary, before: Summary | undefined): string {
  const settled = now.settled.done + now.settled.dead + now.settled.dropped;
  const earlier = before ? before.settled.done + before.settled.dead + before.settled.dropped : 0;
  const seconds = now.seconds - (before?.seconds ?? 0);
  const rate = seconds > 0 ? Math.round((settled - earlier) / seconds) : 0;
  const actors = Object.values(now.perActor);
  const sum = (pick: (actor: (typeof actors)[number]) => number): number =>
    actors.reduce((all, actor) => all + pick(actor), 0);
  const parts = [
    `${format(rate)}/s`,
    `${format(settled)} of ${format(now.messages)} settled`,
    `depth ${format(sum(a => a.depth))}`,
    `retries ${format(sum(a => a.retries))}`,
    `dead ${format(now.settled.dead)}`,
  ];
  if (now.restarts > 0) parts.push(`restarts ${now.restarts}`);
  return parts.join(' · ');
}

export function format(value: number): string {
  return value.toLocaleString('en-US');
}

/** Shows a line: over itself on a terminal, one under the other elsewhere. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #live: boolean;
  #shown = false;

  constructor(stream: NodeJS.WriteStream, live = stream.isTTY === true) {
    this.#stream = stream;
    this.#live = live;
  }

  show(line: string): void {
    const width = this.#stream.columns ?? 120;
    if (this.#live) this.#stream.write(`\r\x1b[2K${line.slice(0, width - 1)}`);
    else this.#stream.write(`${line}\n`);
    this.#shown = true;
  }

  end(): void {
    if (this.#live && this.#shown) this.#stream.write('\r\x1b[2K');
    this.#shown = false;
  }
}
