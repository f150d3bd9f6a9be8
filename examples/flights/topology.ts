/** 20,000 real flights: state per airport, and a ledger of every flight. `keymill start examples/flights/topology.ts --once` */
import { fileURLToPath } from 'node:url';
import { file } from '../../actors/file/index.ts';
import { defineTopology } from '../../runtime/index.ts';
import airport from './airport.ts';
import ledger from './ledger.ts';
import { numbered } from './numbered.ts';

const flights = fileURLToPath(new URL('../data/flights-20k.json', import.meta.resolve('vega-datasets')));

export default defineTopology({
  module: import.meta.url,
  name: 'flights',
  io: {
    in: file({ url: flights }),
    out: file({ url: 'file:.keymill/flights/out', mode: 'truncate' }),
  },
  sources: { flights: { from: 'in', to: 'airport', map: numbered } },
  actors: {
    airport: { use: airport, sends: ['ledger'], uses: ['out'] },
    ledger: { use: ledger, uses: ['out'] },
  },
});
