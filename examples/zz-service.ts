import { start } from '../runtime/index.ts';
import payments from './zz-topology.ts';
const runtime = await start(payments, { port: 0, dataDir: '/tmp/snip/data' });
await runtime.tell('account', { account: 'a-1', cents: 250 });
console.log(await runtime.ask('account', { account: 'a-1', cents: 100 }), runtime.url);
const report = await runtime.stop();
console.log(report);
process.exitCode = report.ok ? 0 : 1;
