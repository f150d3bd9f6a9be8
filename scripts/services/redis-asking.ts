/** Questions to a Redis in its own protocol (RESP 2), with nothing of a driver's between. For setting servers up, and for tests that judge one. */
import { connect, type Socket } from 'node:net';

/** Bulk strings come as text of one character a byte (latin1), errors of a command as an Error. */
export type Answer = string | number | null | Error | readonly Answer[];

const LINE_END = '\r\n';

export class RedisAsking {
  readonly #socket: Socket;
  readonly #waiting: ((answer: Answer) => void)[] = [];
  #kept = '';

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1').setEncoding('latin1').setNoDelay(true);
    this.#socket.on('data', (chunk: string) => this.#read(chunk));
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      for (const resolve of this.#waiting.splice(0)) resolve(new Error('the connection broke'));
    });
  }

  /** Rejects with what the server refuses, and when the connection breaks. Text that is no latin1 goes as a Buffer. */
  async ask(...command: readonly (string | number | Uint8Array)[]): Promise<Answer> {
    if (this.#socket.destroyed) throw new Error('the connection broke');
    const parts = command.map(part => Buffer.from(typeof part === 'number' ? String(part) : part));
    const frames = parts.flatMap(part => [Buffer.from(`$${part.length}${LINE_END}`), part, Buffer.from(LINE_END)]);
    this.#socket.write(Buffer.concat([Buffer.from(`*${parts.length}${LINE_END}`), ...frames]));
    const answer = await new Promise<Answer>(resolve => this.#waiting.push(resolve));
    if (answer instanceof Error) throw answer;
    return answer;
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: string): void {
    this.#kept += chunk;
    for (;;) {
      const found = parse(this.#kept, 0);
      if (found === null) return;
      this.#kept = this.#kept.slice(found.end);
      this.#waiting.shift()?.(found.answer);
    }
  }
}

/** One question on a connection of its own. */
export async function askRedis(port: number, ...command: readonly (string | number | Uint8Array)[]): Promise<Answer> {
  const asking = new RedisAsking(port);
  try {
    return await asking.ask(...command);
  } finally {
    asking.close();
  }
}

/** One number or word of a reply such as INFO's, of lines `name:value`. */
export function lineOf(reply: Answer, name: string): string | undefined {
  const line = String(reply)
    .split(LINE_END)
    .find(one => one.startsWith(`${name}:`));
  return line?.slice(name.length + 1);
}

/** Null while it is not all there. */
function parse(text: string, at: number): { readonly answer: Answer; readonly end: number } | null {
  const lineEnd = text.indexOf(LINE_END, at);
  if (lineEnd < 0) return null;
  const line = text.slice(at + 1, lineEnd);
  let end = lineEnd + LINE_END.length;
  switch (text[at]) {
    case '+':
      return { answer: line, end };
    case '-':
      return { answer: new Error(line), end };
    case ':':
      return { answer: Number(line), end };
    case '$': {
      if (line === '-1') return { answer: null, end };
      const stop = end + Number(line);
      return text.length < stop + LINE_END.length
        ? null
        : { answer: text.slice(end, stop), end: stop + LINE_END.length };
    }
    case '*': {
      if (line === '-1') return { answer: null, end };
      const answers: Answer[] = [];
      for (let left = Number(line); left > 0; left--) {
        const one = parse(text, end);
        if (one === null) return null;
        answers.push(one.answer);
        end = one.end;
      }
      return { answer: answers, end };
    }
    default:
      throw new Error(`not a reply of Redis: ${text.slice(at, at + 20)}`);
  }
}
