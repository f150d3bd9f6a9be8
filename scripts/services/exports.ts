/** What a running service says of itself: environment variables, as `export` lines for a shell and back. */

/** Names without the prefix all of them have. */
export type Exports = Readonly<Record<string, string>>;

const PREFIX = 'KEYMILL_TEST_';
const LINE = new RegExp(`^export (${PREFIX}\\w+)='(.*)'$`);

export function toLines(exports: Exports): string {
  return Object.entries(exports)
    .map(([name, value]) => `export ${PREFIX}${name}='${value.replaceAll("'", "'\\''")}'\n`)
    .join('');
}

/** Whole names and values, for an environment. Lines that are something else are passed over. */
export function fromLines(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split('\n').flatMap(line => {
      const found = LINE.exec(line);
      return found ? [[found[1]!, found[2]!.replaceAll("'\\''", "'")]] : [];
    }),
  );
}
