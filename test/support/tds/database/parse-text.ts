/** An expression by itself, as the catalog keeps it. */
import { parseExpression } from './parse-expression.ts';
import { TokenReader } from './reader.ts';
import type { Expression } from './syntax.ts';

export function parseExpressionText(sql: string): Expression {
  const reader = new TokenReader(sql);
  const found = parseExpression(reader);
  reader.mustEnd();
  return found;
}
