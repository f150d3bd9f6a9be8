/**
 * The statements that keymill names: which there are, what each takes, and what it is made of. What does not fit is refused, so
 * that a test cannot pass by a text that nobody meant.
 */
import { errors } from '../errors.ts';
import type { Binding } from './bindings.ts';
import { parseBatch } from './parse.ts';
import type { Batch } from './syntax.ts';

interface Form {
  readonly params: RegExp;
  readonly kinds: RegExp;
}

/** Words, each of which may be followed by `?`, `*` or `+`, in groups; `#` is a number and `@` any name. */
function pattern(words: string, more = ''): RegExp {
  const source = words
    .replace(/[\w#:@-]+/g, '(?:$&~)')
    .replaceAll(' ', '')
    .replaceAll('~', ' ');
  return new RegExp(`^${source.replaceAll('#', '\\d+').replaceAll('@', '\\w+')}${more}$`);
}

/** Parameters of the user's own conditions come last. */
const form = (params: string, kinds: string): Form => ({
  params: pattern(params, '(?:own:\\S+ )*'),
  kinds: pattern(kinds),
});

const LOOKING = 'declare declare declare declare select declare declare select';
const AROUND = '(set-option set-option set-option begin|set-option set-option)';
const WRITING = 'set-option set-option begin (update if:throw)?';
const PUTTING = '(set-option)? insert (set-option)?';
const FENCING = 'set-option set-option begin update if:block';
const ROWS = 'kmRows#* kmContext? (kmWriter kmBatch)?';

const pages = (prefix: string): string =>
  ['kmObject', 'kmStamp', 'kmVersion', 'kmNeeded', 'kmBase', 'kmLimit'].map(name => prefix + name).join(' ');

const FORMS = new Map<string, Form>([
  ...['alive', 'server', 'health', 'encryption', 'tracked-tables', 'cleanup', 'capture-lag'].map(
    (name): [string, Form] => [name, form('', 'select')],
  ),
  ...['bookmarks', 'versions', 'done', 'captured', 'leaders'].map((name): [string, Form] => [
    `ensure-${name}`,
    form('', 'if:create-table'),
  ]),
  ['table', form('kmName', 'declare select select')],
  ['look', form('kmObject kmStamp kmNeeded kmBase', `set-option ${LOOKING}`)],
  [
    'changes',
    form(
      `kmTouch (kmPage# ${pages('km#_')} (km#_kmKey#|km#_@)*)+`,
      `${AROUND} declare declare+ execute declare+ select execute+ commit?`,
    ),
  ],
  ['touch', form('', 'declare')],
  ['page', form(`kmNow kmBegan kmMin ${pages('')} kmKey#*`, 'declare declare select if:block select?')],
  ['rows', form('kmObject kmStamp kmNeeded kmBase kmLimit kmKey#*', `${AROUND} ${LOOKING} if:block commit?`)],
  ['track-database', form('', 'if:track-database')],
  ['track', form('', 'track')],
  ['untrack', form('', 'untrack')],
  ['stage', form('', 'create-table')],
  ['insert', form(ROWS, `${WRITING} ${PUTTING} commit`)],
  ['upsert', form(ROWS, `${WRITING} update? ${PUTTING} commit`)],
  ['remove', form(ROWS, `${WRITING} select delete commit`)],
  [
    'apply',
    form(
      `${ROWS} kmName`,
      `${WRITING} declare-table (insert (update? ${PUTTING}|delete) update insert update)+ select commit`,
    ),
  ],
  [
    'transaction',
    form(
      'kmContext? (kmWriter kmBatch)? (kmSql#|kmExpect#|km#_@)+',
      `${WRITING} declare (execute set-variable if:throw if:throw?)+ declare update? select commit`,
    ),
  ],
  ['bookmark', form('kmConsumer kmName', 'select')],
  ['set-bookmark', form('kmConsumer kmName kmVersion kmEpoch', 'set-option set-option begin update if:insert commit')],
  ['enter-writer', form('kmWriter', 'set-option insert delete')],
  ['done', form('kmWriter', 'select')],
  ['older-than', form('kmName kmEpoch kmAfter kmLimit', 'select')],
  ['captures', form('kmObject', 'select')],
  [
    'captured',
    form(
      'kmObject kmStamp kmLimit kmLsn (kmCommand kmSeqval kmOperation)? kmUntil?',
      'set-option set-option declare declare select if:select select',
    ),
  ],
  ['captured-rows', form('kmObject kmStamp kmLimit kmKey#*', 'set-option set-option declare declare select select')],
  [
    'take-lead',
    form(
      'kmLease kmOwner kmLeaseMs',
      'set-option set-option declare declare declare begin update if:set-variable if:block select commit',
    ),
  ],
  ['renew-lead', form('kmLease kmToken kmLeaseMs', 'set-option update select')],
  ['see-token', form('kmLease kmToken kmMark', `${FENCING} commit`)],
  ['leaders', form('', 'select')],
  [
    'set-bookmark-fenced',
    form('kmConsumer kmName kmVersion kmEpoch kmLease kmToken kmMark', `${FENCING} update if:insert commit`),
  ],
  [
    'set-point-fenced',
    form('kmConsumer kmName kmVersion kmLsn kmLease kmToken kmMark', `${FENCING} update if:insert delete commit`),
  ],
  ['point', form('kmConsumer kmName kmVersion', 'select')],
  [
    'set-point',
    form('kmConsumer kmName kmVersion kmLsn', 'set-option set-option begin update if:insert delete commit'),
  ],
]);

/** Another statement with a name: parameters and kinds as `pattern` reads them. */
export function addStatement(name: string, params: string, kinds: string): void {
  FORMS.set(name, form(params, kinds));
}

export const statementNames = (): string[] => [...FORMS.keys()];

const NAME = /^\/\* keymill:([\w-]+) \*\/\n/;

/** Its name; null for a statement of somebody else. Throws an error of the test server. */
export function checkStatement(sql: string, declared: readonly Binding[]): string | null {
  const name = NAME.exec(sql)?.[1] ?? null;
  if (name === null) return null;
  const known = FORMS.get(name);
  if (!known) throw errors.refused(`unknown statement keymill:${name}`);
  const names = parameterNames(sql, declared);
  if (!known.params.test(names)) throw errors.refused(`keymill:${name} with the parameters ${names}`);
  const kinds = kindsOf(parseBatch(sql));
  if (!known.kinds.test(kinds)) throw errors.refused(`keymill:${name} made of ${kinds}`);
  return name;
}

/** As the text spells them, each with a space behind it; those of the user's own conditions as `own:NAME`. */
function parameterNames(sql: string, declared: readonly Binding[]): string {
  const spelt = new Map([...sql.matchAll(/@(km\w+)/g)].map(([, name]) => [`@${name!.toLowerCase()}`, name!]));
  return declared.map(({ name }) => `${spelt.get(name) ?? UNREAD.get(name) ?? `own:${name}`} `).join('');
}

/** Given, and not read by every statement that has it. */
const UNREAD = new Map(['kmStamp', 'kmBase', 'kmNeeded'].map(name => [`@${name.toLowerCase()}`, name]));

/** Each with a space behind it. */
function kindsOf(batch: Batch): string {
  return batch.map(one => `${one.kind === 'if' ? `if:${one.action.kind}` : one.kind} `).join('');
}
