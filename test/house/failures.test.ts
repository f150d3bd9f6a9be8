/** What the whole test run prints at its end of what failed. */
import { expect, it } from 'vitest';
import { failuresOf } from '../../scripts/failures.ts';

it('names failed tests with their file, and files that failed as a whole', () => {
  const result = (name: string, status: string, tests: [string, string][], message = '') => ({
    name: `/root/test/${name}`,
    status,
    message,
    assertionResults: tests.map(([fullName, its]) => ({ fullName, status: its })),
  });
  const report = {
    numPassedTests: 2,
    numFailedTests: 2,
    numPendingTests: 1,
    testResults: [
      result('a.test.ts', 'failed', [
        ['a group does this', 'passed'],
        ['a group does that', 'failed'],
        ['b', 'failed'],
        ['c', 'skipped'],
      ]),
      result('b.test.ts', 'passed', [['x', 'passed']]),
      result('c.test.ts', 'failed', [], '\nCannot find module ./gone.ts\n  at somewhere'),
      result('d.test.ts', 'failed', [['y', 'passed']]),
    ],
  };
  expect(failuresOf(report, '/root')).toEqual([
    'test/a.test.ts > a group does that',
    'test/a.test.ts > b',
    'test/c.test.ts: Cannot find module ./gone.ts',
    'test/d.test.ts: failed as a whole',
  ]);
});
