#!/usr/bin/env node
/** The keymill command. Exit codes: 0 fine, 1 something went wrong, 78 the configuration is. */
import { Command } from 'commander';
import { VERSION } from '../runtime.ts';
import { checkCommand } from './check.ts';
import { startCommand } from './start.ts';

const program = new Command('keymill').description('Keyed work on every core of one Node.js process.').version(VERSION);
program.addCommand(startCommand());
program.addCommand(checkCommand());
await program.parseAsync();
