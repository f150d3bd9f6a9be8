/** The connections of a client, one to each broker; made when they are needed, and again after they are lost. */
import type { Environment, Log } from '../../../runtime/index.ts';
import { type Address, type ServiceUrl, spelt } from './address.ts';
import { Connection, type ConnectionOptions } from './connection.ts';
import { lostFault } from './faults.ts';

export type SharedOptions = Omit<ConnectionOptions, 'address' | 'isSecure' | 'proxyTo'>;

export class Connections {
  readonly #service: ServiceUrl;
  readonly #options: SharedOptions;
  readonly #environment: Environment;
  readonly #log: Log;
  readonly #open = new Map<string, Promise<Connection>>();
  readonly #ready = new Set<Connection>();
  /** Which address of the service is tried first. */
  #first = 0;
  #isClosed = false;

  constructor(service: ServiceUrl, options: SharedOptions, environment: Environment, log: Log) {
    this.#service = service;
    this.#options = options;
    this.#environment = environment;
    this.#log = log;
  }

  /** Brokers have one url for each way to reach them. */
  get isSecure(): boolean {
    return this.#service.isSecure;
  }

  /** For metrics. */
  get numbers(): { readonly connections: number; readonly requests: number } {
    let requests = 0;
    for (const connection of this.#ready) requests += connection.requests;
    return { connections: this.#ready.size, requests };
  }

  /** To any broker of the service: the first of its addresses that answers. Rejects with what the last one said. */
  async toService(): Promise<Connection> {
    const { addresses } = this.#service;
    let fault: unknown;
    for (let i = 0; i < addresses.length; i++) {
      const at = (this.#first + i) % addresses.length;
      try {
        const connection = await this.#to(addresses[at]!);
        this.#first = at;
        return connection;
      } catch (error) {
        fault = error;
      }
    }
    throw fault;
  }

  /** To a certain broker, through a proxy when it is behind one. */
  async toBroker(broker: Address, isThroughService: boolean): Promise<Connection> {
    if (!isThroughService) return this.#to(broker);
    const { addresses } = this.#service;
    return this.#to(addresses[this.#first]!, broker);
  }

  close(): void {
    this.#isClosed = true;
    const fault = lostFault('client', 'it was closed');
    for (const one of this.#open.values())
      one.then(
        connection => connection.destroy(fault),
        () => undefined,
      );
  }

  #to(address: Address, proxyTo?: Address): Promise<Connection> {
    if (this.#isClosed) return Promise.reject(lostFault('client', 'it was closed'));
    const name = proxyTo ? `${spelt(address)} ${spelt(proxyTo)}` : spelt(address);
    const found = this.#open.get(name);
    if (found) return found;
    const options: ConnectionOptions = { ...this.#options, address, proxyTo, isSecure: this.#service.isSecure };
    const opening = Connection.open(options, this.#environment, this.#log);
    this.#open.set(name, opening);
    const forget = (): void => {
      if (this.#open.get(name) === opening) this.#open.delete(name);
    };
    opening.then(connection => {
      this.#ready.add(connection);
      if (this.#isClosed) connection.destroy(lostFault(name, 'the client was closed'));
      connection.onClosed = () => {
        this.#ready.delete(connection);
        forget();
      };
    }, forget);
    return opening;
  }
}
