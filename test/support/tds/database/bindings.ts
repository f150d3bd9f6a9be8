/** Declarations of parameters: `@a bigint, @b nvarchar(4000)`. */
import type { SqlType } from '../types.ts';
import { TokenReader } from './reader.ts';
import { typeOf } from './values.ts';

export interface Binding {
  /** In lower case, with its `@`. */
  readonly name: string;
  readonly type: SqlType;
}

/** Throws 102, 2715. */
export function bindings(declaration: string): Binding[] {
  const reader = new TokenReader(declaration);
  if (reader.token.kind === 'end') return [];
  const found = reader.list(() => {
    if (reader.token.kind !== 'variable') throw reader.wrong();
    const name = reader.next().lower;
    const type = typeOf(reader.type());
    reader.takeWords('output');
    return { name, type };
  });
  reader.mustEnd();
  return found;
}
