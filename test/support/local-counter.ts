/** The smallest I/O actor: adds what it is asked to add, refuses what is negative, and notes its batches. */
import type { IoSpec } from '../../runtime/io/contract.ts';

export class LocalCounter {
  readonly batches: number[][] = [];
  sum = 0;
  readonly spec: IoSpec = {
    kind: 'counter',
    policy: {},
    options: {},
    check: () => [],
    key: () => 'counter',
    open: () => ({
      handleBatch: asks => {
        this.batches.push([...asks] as number[]);
        return asks.map(ask => {
          if ((ask as number) < 0) return { error: new Error('negative') };
          this.sum += ask as number;
          return { value: this.sum };
        });
      },
      close() {},
    }),
    client: ask => ({ add: (n: number) => ask(n) }),
  };
}
