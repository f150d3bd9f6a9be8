/** The one table of error codes, and errors on their way across threads. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  asError,
  ClassifiedError,
  classOf,
  ERRORS,
  type ErrorClass,
  type ErrorCode,
  fromWire,
  isKeymillError,
  KeymillError,
  describe as picture,
  toWire,
} from '../../runtime/errors.ts';
import { packValue, unpackValue } from '../../runtime/lanes/value.ts';
import { sourcesOf } from './sources.ts';

const CODES = Object.keys(ERRORS) as ErrorCode[];

describe('the table', () => {
  it('has no code that is never raised', () => {
    // Codes that a later part of the product raises would be listed here, with that part.
    const promised: ErrorCode[] = [];
    const raising = sourcesOf('runtime', 'actors')
      .filter(file => !file.path.startsWith('runtime/error-table'))
      .map(file => file.text)
      .join('\n');
    const raised = CODES.filter(code => raising.includes(`'${code}'`));
    const byItself: ErrorCode[] = ['HANDLER_THREW']; // asError raises it
    expect(CODES.filter(code => !raised.includes(code) && !byItself.includes(code))).toEqual(promised);
  });

  it('says of every code what it means and what to do', () => {
    for (const code of CODES) {
      const { means, todo } = ERRORS[code];
      expect(means, code).toMatch(/^[A-Za-z].*[.)]$/s);
      expect(todo, code).toMatch(/^[A-Za-z].*[.`]$/s);
    }
  });

  it('has only the five classes', () => {
    const classes = new Set<ErrorClass>(['transient', 'throttled', 'poison', 'unknown', 'fatal']);
    for (const code of CODES) expect(classes.has(ERRORS[code].class), code).toBe(true);
  });
});

describe('an error of keymill', () => {
  it('says its code, class, place, and what to do', () => {
    const error = new KeymillError('IO_FAILED', 'down', { place: { actor: 'a', at: 'x:1' }, cause: new Error('c') });
    expect(error).toMatchObject({
      name: 'KeymillError',
      code: 'IO_FAILED',
      class: 'transient',
      message: 'IO_FAILED: down',
      place: { actor: 'a', at: 'x:1' },
      todo: ERRORS.IO_FAILED.todo,
    });
    expect(new KeymillError('IO_FAILED', 'gone', { class: 'fatal' }).class).toBe('fatal');
  });

  it('is told by code, also when it comes from another copy of the module', () => {
    const foreign = Object.assign(new Error('IO_FAILED: x'), { name: 'KeymillError', code: 'IO_FAILED' });
    expect([
      isKeymillError(foreign),
      isKeymillError(foreign, 'IO_FAILED'),
      isKeymillError(foreign, 'TIMEOUT'),
      isKeymillError(new Error('x')),
      isKeymillError(null),
    ]).toEqual([true, true, false, false, false]);
  });
});

describe('the class of an error', () => {
  it.each<[string, unknown, ErrorClass]>([
    ['what it says itself', new ClassifiedError('poison', 'x'), 'poison'],
    ['what any error says itself', Object.assign(new Error('x'), { class: 'throttled' }), 'throttled'],
    ['unknown, when it says nonsense', Object.assign(new Error('x'), { class: 'bad' }), 'unknown'],
    [
      'transient, for what the system says may heal',
      Object.assign(new Error('x'), { code: 'ECONNRESET' }),
      'transient',
    ],
    [
      'what it says itself before what the system says',
      Object.assign(new Error('x'), { code: 'ECONNRESET', class: 'fatal' }),
      'fatal',
    ],
    ['unknown, for other system errors', Object.assign(new Error('x'), { code: 'ENOENT' }), 'unknown'],
    ['unknown, for what is no error', 'text', 'unknown'],
    ['unknown, for nothing', null, 'unknown'],
  ])('is %s', (_what, thrown, expected) => {
    expect(classOf(thrown)).toBe(expected);
  });
});

describe('what is thrown', () => {
  it('is an error as it is, or HANDLER_THREW with a picture of it', () => {
    const error = new RangeError('x');
    expect(asError(error)).toBe(error);
    for (const [thrown, text] of [
      ['text', '"text"'],
      [undefined, 'undefined'],
      [7n, '7n'],
      [{ a: 1 }, '{"a":1}'],
      [() => 1, '[function anonymous]'],
      [Symbol('s'), 'Symbol(s)'],
    ] as const)
      expect(asError(thrown)).toMatchObject({
        code: 'HANDLER_THREW',
        message: `HANDLER_THREW: not an Error but ${text}`,
      });
  });

  it('has a picture that is short and safe, whatever it is', () => {
    const cycle: { self?: object } = {};
    cycle.self = cycle;
    expect(picture(cycle)).toBe('[object Object]');
    expect(picture('x'.repeat(1000))).toHaveLength(121);
    expect(picture({ toJSON: () => undefined })).toBe('[object Object]');
    expect(
      picture({
        toJSON() {
          throw new Error('no');
        },
      }),
    ).toBe('[object Object]');
  });
});

describe('on the way across threads', () => {
  /** As a lane does it. */
  const across = (thrown: unknown): Error => fromWire(unpackValue(packValue(toWire(thrown))) as never);

  it('an error of keymill keeps its code, class, text, place, stack and causes', () => {
    const error = new KeymillError('ASK_REJECTED', 'no', {
      class: 'poison',
      place: { actor: 'a', source: 's', at: 'f:1' },
      cause: new ClassifiedError('throttled', 'slow', {
        cause: Object.assign(new TypeError('deep'), { code: 'EPIPE' }),
      }),
    });
    const arrived = across(error) as KeymillError;
    expect(arrived).toBeInstanceOf(KeymillError);
    expect(arrived).toMatchObject({
      name: 'KeymillError',
      code: 'ASK_REJECTED',
      class: 'poison',
      message: 'ASK_REJECTED: no',
      place: error.place,
      todo: error.todo,
    });
    expect(arrived.stack).toBe(error.stack);
    expect(arrived.cause).toMatchObject({ name: 'ClassifiedError', class: 'throttled', message: 'slow' });
    expect((arrived.cause as Error).cause).toMatchObject({
      name: 'TypeError',
      code: 'EPIPE',
      class: 'transient',
      message: 'deep',
    });
    expect(toWire(arrived)).toEqual(toWire(error));
  });

  it('every error keeps what matters, any number of times', () => {
    const text = fc.string({ maxLength: 30 });
    const thrown: fc.Arbitrary<unknown> = fc.letrec<{ error: unknown }>(tie => ({
      error: fc.oneof(
        { maxDepth: 3 },
        fc
          .record({
            code: fc.constantFrom(...CODES),
            detail: text,
            class: fc.option(fc.constantFrom<ErrorClass>('transient', 'fatal'), { nil: undefined }),
            cause: fc.option(tie('error'), { nil: undefined }),
          })
          .map(
            ({ code, detail, cause, class: its }) =>
              new KeymillError(code, detail, { cause, ...(its ? { class: its } : {}) }),
          ),
        fc
          .record({
            name: fc.constantFrom('TypeError', 'MyError', 'KeymillError'),
            message: text,
            code: fc.option(fc.constantFrom('ECONNRESET', 'X', 'toString', 'IO_FAILED')),
            cause: fc.option(tie('error'), { nil: undefined }),
          })
          .map(({ name, message, code, cause }) =>
            Object.assign(new Error(message, { cause }), { name, ...(code === null ? {} : { code }) }),
          ),
        text,
      ),
    })).error;
    fc.assert(
      fc.property(thrown, thrown => {
        const once = across(thrown);
        const original = asError(thrown);
        expect(once.name).toBe(original.name);
        expect(classOf(once)).toBe(classOf(original));
        if (original.name !== 'KeymillError') expect(once.message).toBe(original.message);
        expect({ ...toWire(across(once)), stack: '' }).toEqual({ ...toWire(once), stack: '' });
      }),
      { numRuns: 300 },
    );
  });

  it('a chain of causes ends after five, so a cycle of them does too', () => {
    const error = new Error('around');
    error.cause = error;
    let depth = 0;
    for (let one: Error | undefined = across(error); one; one = one.cause as Error | undefined) depth++;
    expect(depth).toBe(5);
  });

  it('a code that is not of the table stays the code of a plain error', () => {
    const arrived = across(Object.assign(new Error('x'), { name: 'KeymillError', code: 'NOT_OURS' }));
    expect(arrived).not.toBeInstanceOf(KeymillError);
    expect(arrived).toMatchObject({ name: 'KeymillError', code: 'NOT_OURS', message: 'x' });
  });
});
