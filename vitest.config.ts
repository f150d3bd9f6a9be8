import { defineConfig } from 'vitest/config';

/** One folder of test/ per layer; the folder decides the project. */
const unit = [
  'lanes',
  'mailbox',
  'host',
  'supervisor',
  'delivery',
  'policies',
  'observe',
  'topology',
  'cli',
  'file',
  'sql',
  'redis',
  'cache',
  'pulsar',
  'sync',
  'contract',
  'docs',
  'house',
  'bench',
  'support',
];

export default defineConfig({
  test: {
    pool: 'forks',
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: unit.map(folder => `test/${folder}/**/*.test.ts`),
          testTimeout: 20_000,
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: {
          name: 'simulation',
          include: ['test/simulation/**/*.test.ts'],
          testTimeout: 300_000,
          maxConcurrency: 2,
          maxWorkers: 1,
        },
      },
      {
        extends: true,
        test: { name: 'faults', include: ['test/faults/**/*.test.ts'], testTimeout: 90_000, maxWorkers: 1 },
      },
      { extends: true, test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], testTimeout: 180_000, maxWorkers: 1 } },
      {
        extends: true,
        test: { name: 'servers', include: ['test/servers/**/*.test.ts'], testTimeout: 60_000, maxWorkers: 1 },
      },
    ],
  },
});
