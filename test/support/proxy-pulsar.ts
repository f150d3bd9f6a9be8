/** The proxy before a Pulsar broker. */
import { type FaultProxy, type ProxyOptions, proxyTo } from './proxy.ts';
import { pulsarFrames } from './proxy-splitters.ts';
import { pulsarService } from './services.ts';

/** Numbers of commands (reference/pulsar.md 3.1) that tests look for. */
export const COMMAND = {
  connect: 2,
  send: 6,
  sendReceipt: 7,
  message: 9,
  ack: 10,
  success: 13,
  producerSuccess: 17,
  ping: 18,
  pong: 19,
  partitionedMetadata: 21,
  lookup: 23,
  lookupResponse: 24,
  ackResponse: 38,
} as const;

/** After the two sizes comes the command, and its type is the first of its fields. */
export const commandOf = (frame: Buffer): number => frame[9]!;

export interface PulsarProxyOptions extends ProxyOptions {
  /**
   * Lookups are answered as in a cluster: with a broker's address, the proxy's, to connect to. Without it not a byte is changed,
   * and clients come through the proxy nevertheless: a standalone broker on loopback tells them to stay with the url they
   * have, as behind Pulsar's own proxy (`proxy_through_service_url`, reference/pulsar.md 2.4).
   */
  readonly direct?: boolean;
}

/** A proxy before the broker's plain port until the test ends; before another `url`, e.g. the service's `tls`, it knows no frames. */
export function pulsarProxy(
  { direct = false, ...options }: PulsarProxyOptions = {},
  url?: string,
): Promise<FaultProxy> {
  if (url !== undefined) return proxyTo(url, options);
  const broker = pulsarService()!.url;
  const alter = direct ? (frame: Buffer, proxy: FaultProxy) => asOfCluster(frame, broker, proxy.url) : undefined;
  return proxyTo(broker, { replies: pulsarFrames, ...(alter && { alter }), ...options });
}

/** The last field of a lookup's answer: whether to stay with the url one has. */
const STAY = Buffer.from([8 << 3, 1]);

function asOfCluster(frame: Buffer, broker: string, proxied: string): Buffer {
  if (commandOf(frame) !== COMMAND.lookupResponse) return frame;
  const answer = Buffer.from(frame.toString('latin1').replace(broker, proxied), 'latin1');
  if (answer.length !== frame.length || !answer.subarray(-STAY.length).equals(STAY))
    throw new Error(`cannot be made to lead to ${proxied}: ${frame.toString('hex')}`);
  answer[answer.length - 1] = 0;
  return answer;
}
