#!/usr/bin/env node
/** The keymill command. Exit codes: 0 fine, 1 something went wrong, 78 the configuration is. */
import { Command, CommanderError } from 'commander';
import { KeymillError } from '../errors.ts';
import { VERSION } from '../runtime.ts';
import { checkCommand } from './check.ts';
import { doctorCommand } from './doctor.ts';
import { EXIT_CONFIG, errorJson } from './errors.ts';
import { startCommand } from './start.ts';
import { topicsCommand } from './topics.ts';

const program = new Command('keymill').description('Keyed work on every core of one Node.js process.').version(VERSION);
for (const command of [startCommand(), checkCommand(), doctorCommand(), topicsCommand()])
  program.addCommand(command.exitOverride());
try {
  await program.exitOverride().parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // It has said what is wrong. Help and version, when asked for, are no errors.
  process.exitCode = error.exitCode === 0 ? 0 : EXIT_CONFIG;
  const wrong = new KeymillError('CONFIG_INVALID', error.message.replace(/^error: /, ''), {
    place: { at: 'command line' },
  });
  if (error.exitCode !== 0 && process.argv.includes('--json'))
    process.stdout.write(`${JSON.stringify({ ok: false, error: errorJson(wrong) })}\n`);
}
