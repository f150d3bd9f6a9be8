import { expect, test } from 'vitest';
import { severityOfLag, severityOfResync } from '../../actors/sql/changes/lag.ts';

test.each([
  [0, 'none'],
  [1, 'minor'],
  [10, 'minor'],
  [11, 'moderate'],
  [100, 'moderate'],
  [101, 'major'],
  [1_000_000, 'major'],
] as const)('a lag of %i versions is %s', (versions, severity) => {
  expect(severityOfLag(versions)).toBe(severity);
});

test('what undoes versions is critical, what lost them major', () => {
  expect(severityOfResync('went-back')).toBe('critical');
  expect(severityOfResync('incarnation')).toBe('critical');
  expect(severityOfResync('cleaned')).toBe('major');
  expect(severityOfResync('truncated')).toBe('major');
  expect(severityOfResync('initial')).toBe('none');
});
