/**
 * Patterns of channels as Redis has them (`stringmatchlen`): `*`, `?`, `[abc]`, `[^abc]`, `[a-c]`, and `\` before a
 * character that stands for itself. No regular expression is made of them: a pattern takes steps of at most its length
 * times the text's. `?` is one UTF-16 unit here and one byte in Redis.
 */

type Part = { readonly is: 'many' | 'one' } | { readonly is: 'class'; readonly has: (unit: string) => boolean };

export function globMatcher(pattern: string): (text: string) => boolean {
  const parts = partsOf(pattern);
  return text => matches(parts, text);
}

/** After a mismatch the last `*` takes one more; earlier ones need not, as what follows them was found already. */
function matches(parts: readonly Part[], text: string): boolean {
  let at = 0;
  let part = 0;
  let star = -1;
  let taken = 0;
  while (at < text.length) {
    const one = parts[part];
    if (one?.is === 'many') {
      star = part++;
      taken = at;
    } else if (one?.is === 'one' || (one?.is === 'class' && one.has(text[at]!))) {
      part++;
      at++;
    } else if (star >= 0) {
      part = star + 1;
      at = ++taken;
    } else return false;
  }
  while (parts[part]?.is === 'many') part++;
  return part === parts.length;
}

function partsOf(pattern: string): Part[] {
  const parts: Part[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const unit = pattern[at]!;
    if (unit === '*') {
      if (parts.at(-1)?.is !== 'many') parts.push({ is: 'many' });
    } else if (unit === '?') parts.push({ is: 'one' });
    else if (unit === '[') {
      const [has, end] = classOf(pattern, at + 1);
      parts.push({ is: 'class', has });
      at = end;
    } else {
      const literal = unit === '\\' && at + 1 < pattern.length ? pattern[++at]! : unit;
      parts.push({ is: 'class', has: found => found === literal });
    }
  }
  return parts;
}

/** What stands behind `[`, and where its `]` is; one that is not closed ends with the pattern. */
function classOf(pattern: string, begin: number): [has: (unit: string) => boolean, end: number] {
  let at = begin;
  const isNegated = pattern[at] === '^';
  if (isNegated) at++;
  const ranges: [low: string, high: string][] = [];
  for (; at < pattern.length && pattern[at] !== ']'; at++) {
    if (pattern[at] === '\\' && at + 1 < pattern.length) at++;
    const low = pattern[at]!;
    const isRange = pattern[at + 1] === '-' && at + 2 < pattern.length && pattern[at + 2] !== ']';
    const high = isRange ? pattern[(at += 2)]! : low;
    ranges.push(low <= high ? [low, high] : [high, low]);
  }
  return [unit => ranges.some(([low, high]) => low <= unit && unit <= high) !== isNegated, at];
}
