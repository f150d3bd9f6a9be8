// Emits dist/: the JavaScript and declarations that the package ships, because Node refuses `.ts` under node_modules, and the
// Lua scripts that Redis runs.
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
rmSync(`${root}dist`, { recursive: true, force: true });
execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', root], { stdio: 'inherit' });
cpSync(`${root}actors/redis/lua`, `${root}dist/actors/redis/lua`, { recursive: true });
chmodSync(`${root}dist/runtime/cli/main.js`, 0o755);
