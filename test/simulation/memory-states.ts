/** A store of durable states in the test's own memory, that outlives the hosts that use it, and can be broken. */
import type { IoSpec, StateStore, StoredState } from '../../runtime/io/contract.ts';

export class MemoryStates {
  readonly states = new Map<string, StoredState>();
  /** While set, everything is refused. */
  down: Error | null = null;
  /** While set, nothing is answered. */
  gate: Promise<void> | null = null;
  loads = 0;
  saves = 0;

  /** An I/O actor over it. */
  spec(): IoSpec {
    return {
      kind: 'states',
      policy: {},
      options: {},
      check: () => [],
      key: () => 'states',
      open: () => ({
        handleBatch: async asks => {
          await this.gate;
          return asks.map(ask => (this.down ? { error: this.down } : { value: this.#do(ask as Ask) }));
        },
        close() {},
      }),
      client: ask => ask,
      store: storeOver,
    };
  }

  #do(ask: Ask): unknown {
    if (ask.op === 'names') return [...this.states.keys()].filter(name => name.startsWith(ask.prefix));
    if (ask.op === 'load') {
      this.loads++;
      return ask.names.map(name => this.states.get(name) ?? null);
    }
    this.saves++;
    return ask.states.map(({ name, rev, bytes }) => {
      if ((this.states.get(name)?.rev ?? 0) > rev) return false;
      this.states.set(name, { rev, bytes: new Uint8Array(bytes) });
      return true;
    });
  }
}

type Ask =
  | { readonly op: 'load'; readonly names: readonly string[] }
  | { readonly op: 'save'; readonly states: readonly (StoredState & { readonly name: string })[] }
  | { readonly op: 'names'; readonly prefix: string };

export function storeOver(ask: (op: unknown) => Promise<unknown>): StateStore {
  return {
    load: names => ask({ op: 'load', names }) as Promise<(StoredState | null)[]>,
    save: states => ask({ op: 'save', states }) as Promise<boolean[]>,
    async *names(prefix) {
      yield* (await ask({ op: 'names', prefix })) as string[];
    },
  };
}
