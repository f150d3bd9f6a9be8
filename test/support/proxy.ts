/**
 * A TCP proxy on loopback for fault tests. It changes no byte unless told to; what it does to a connection a network could do
 * too, save for `dropReply`. Faults hold for all connections, old and new, until `heal`.
 */
import { once } from 'node:events';
import { createServer, type Server, Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { freePorts } from '../../scripts/services/ports.ts';
import { type Direction, Lane, type Rules, type Splitter } from './proxy-lane.ts';

export interface ProxyOptions {
  /** Makes the splitter of one connection's replies; `dropReply` needs it. Then replies are passed on whole. */
  readonly replies?: () => Splitter;
  /** Gives what is passed on for a reply, where a protocol says addresses that would lead around the proxy. */
  readonly alter?: (frame: Buffer, proxy: FaultProxy) => Buffer;
  /** Sees all bytes that pass, in order, with the number of their connection, from 1. */
  readonly watch?: (direction: Direction, bytes: Buffer, connection: number) => void;
}

export interface Dropping {
  /** Which frames are counted as replies; all unless said. */
  readonly of?: (frame: Buffer) => boolean;
  /** The connection dies with the reply. Else what comes after goes on, as if the reply had never been. */
  readonly cuts?: boolean;
}

interface Connection {
  readonly lanes: Readonly<Record<Direction, Lane>>;
  /** Connects to the target. What is accepted in a black hole waits for its end. */
  dial(): void;
  cut(): void;
}

const DIRECTIONS: readonly Direction[] = ['toServer', 'toClient'];
/** Every chunk is a piece. */
const whole: Splitter = chunk => [chunk];

export class FaultProxy {
  readonly #target: URL;
  readonly #options: ProxyOptions;
  readonly #connections = new Set<Connection>();
  #server: Server | null = null;
  #port = 0;
  #accepted = 0;
  #delayMs = 0;
  #held: readonly Direction[] = [];
  #drops: (frame: Buffer) => 'pass' | 'drop' | 'cut' = () => 'pass';

  /** Forwards to host and port of a url, whatever its scheme. */
  constructor(target: string, options: ProxyOptions = {}) {
    this.#target = new URL(target);
    this.#options = options;
  }

  /** The target's url with the proxy's port, which stays the same for ever. */
  get url(): string {
    const url = new URL(this.#target);
    url.port = String(this.port);
    return url.href;
  }

  get port(): number {
    return this.#port;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Bytes that came to the proxy and that it did not pass on yet. */
  get waiting(): number {
    return [...this.#connections].reduce((sum, { lanes }) => sum + lanes.toServer.waiting + lanes.toClient.waiting, 0);
  }

  async listen(): Promise<this> {
    if (this.#server) return this;
    this.#port ||= (await freePorts(1))[0]!;
    this.#server = createServer({ allowHalfOpen: true }, client => this.#accept(client));
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  /** Bytes are passed on so much after they came, in both directions. */
  delay(ms: number): void {
    this.#delayMs = ms;
    this.#move();
  }

  /** Accepts, forwards nothing, closes nothing. After `heal` all goes on that waited, as after a partition. */
  blackhole(): void {
    this.#held = DIRECTIONS;
  }

  /** Stops forwarding one direction, also the end of the stream; the other goes on. */
  halfOpen(direction: Direction): void {
    this.#held = [direction];
    this.#move();
  }

  /** Resets all connections, on both sides. New ones are served as before. */
  cut(): void {
    for (const connection of [...this.#connections]) connection.cut();
  }

  /** Every n-th reply, counted over all connections from now on, does not reach its client. */
  dropReply(n: number, { of = () => true, cuts = false }: Dropping = {}): void {
    if (!this.#options.replies) throw new Error('a proxy needs `replies` to tell one reply from another');
    let count = 0;
    this.#drops = frame => (!of(frame) || ++count % n !== 0 ? 'pass' : cuts ? 'cut' : 'drop');
  }

  /** New connections are refused; those that are there live on. */
  refuse(): void {
    this.#server?.close();
    this.#server = null;
  }

  /** Ends all faults. */
  async heal(): Promise<void> {
    this.#delayMs = 0;
    this.#held = [];
    this.#drops = () => 'pass';
    this.#move();
    await this.listen();
  }

  close(): void {
    this.refuse();
    this.cut();
  }

  #move(): void {
    for (const connection of this.#connections) {
      if (!this.#isBlackHole) connection.dial();
      for (const direction of DIRECTIONS) connection.lanes[direction].move();
    }
  }

  get #isBlackHole(): boolean {
    return this.#held.length === DIRECTIONS.length;
  }

  #accept(client: Socket): void {
    const number = ++this.#accepted;
    const server = new Socket({ allowHalfOpen: true });
    const rules = (direction: Direction) => (): Rules => ({
      held: this.#held.includes(direction),
      delayMs: this.#delayMs,
      judge: piece => this.#judge(direction, piece, number),
    });
    const split = this.#options.replies?.() ?? whole;
    let isDialled = false;
    const connection: Connection = {
      lanes: {
        toServer: new Lane(client, server, rules('toServer'), whole, () => connection.cut()),
        toClient: new Lane(server, client, rules('toClient'), split, () => connection.cut()),
      },
      dial: () => {
        if (!isDialled) server.connect(Number(this.#target.port), this.#target.hostname);
        isDialled = true;
      },
      cut: () => {
        this.#connections.delete(connection);
        for (const direction of DIRECTIONS) connection.lanes[direction].stop();
        for (const socket of [client, server]) socket.resetAndDestroy();
      },
    };
    this.#connections.add(connection);
    for (const socket of [client, server])
      socket.setNoDelay(true).on('close', () => {
        if (client.closed && server.closed) this.#connections.delete(connection);
      });
    if (!this.#isBlackHole) connection.dial();
  }

  #judge(direction: Direction, piece: Buffer, number: number): Buffer | 'drop' | 'cut' {
    const verdict = direction === 'toClient' ? this.#drops(piece) : 'pass';
    if (verdict !== 'pass') return verdict;
    const bytes = direction === 'toClient' ? (this.#options.alter?.(piece, this) ?? piece) : piece;
    this.#options.watch?.(direction, bytes, number);
    return bytes;
  }
}

/** A proxy until the test ends. */
export async function proxyTo(target: string, options: ProxyOptions = {}): Promise<FaultProxy> {
  const proxy = new FaultProxy(target, options);
  onTestFinished(() => proxy.close());
  return proxy.listen();
}
