import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isKeymillError, KeymillError } from '../../runtime/errors.ts';
import {
  keyHash,
  type LogLevel,
  type LogRecord,
  mainLog,
  parseLogLevel,
  redactText,
  redactUrl,
  workerLog,
  writeRecord,
} from '../../runtime/observe/log.ts';
import type { Log } from '../../runtime/topology/define.ts';

function capture(level: LogLevel = 'debug') {
  const lines: string[] = [];
  const clock = { wall: () => 1_700_000_000_000.4 };
  const log = mainLog({ level, name: 'shop', destination: { write: line => lines.push(line) }, clock });
  return { log, lines, parsed: () => lines.map(line => JSON.parse(line)) };
}

/** A worker's log whose records are cloned as they would be on the way to the main thread. */
function captureWorker(bindings: Record<string, unknown> = {}, level?: LogLevel) {
  const records: LogRecord[] = [];
  const clock = { wall: () => 1_600_000_000_000 };
  const log = workerLog(record => records.push(structuredClone(record)), bindings, {
    clock,
    ...(level ? { level } : {}),
  });
  return { log, records };
}

describe('the main log', () => {
  test('writes one JSON line per call, with level, name, time, fields and text', () => {
    const { log, lines, parsed } = capture();
    log.warn({ actor: 'orders', key: keyHash(0xbeef) }, 'slow');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/\}\n$/);
    expect(parsed()).toEqual([
      { level: 'warn', name: 'shop', time: 1_700_000_000_000, actor: 'orders', key: '0000beef', msg: 'slow' },
    ]);
  });

  test('leaves out what is below its level, and everything when silent', () => {
    for (const [level, kept] of [
      ['debug', 4],
      ['warn', 2],
      ['silent', 0],
    ] as const) {
      const { log, lines } = capture(level);
      for (const call of ['debug', 'info', 'warn', 'error'] as const) log[call]({}, 'text');
      expect([level, lines.length]).toEqual([level, kept]);
    }
  });

  test('keeps its own fields apart from those of the same name in a call', () => {
    const { log, parsed } = capture();
    log.info({ level: 9, time: 1, name: 'mine', msg: 'other' }, 'text');
    expect(parsed()[0]).toMatchObject({
      level: 'info',
      name: 'shop',
      msg: 'text',
      level_: 9,
      time_: 1,
      name_: 'mine',
      msg_: 'other',
    });
  });

  test('does not let a text with line feeds make a line of its own', () => {
    const { log, lines } = capture();
    log.info({}, 'one\n{"level":"error"} %s');
    expect(lines.join('').split('\n')).toHaveLength(2);
  });

  test('goes to stderr by default, whole even when the process ends right after', () => {
    const script = `import { mainLog } from './runtime/observe/log.ts';
      const log = mainLog({ level: 'info', name: 'shop' });
      for (let i = 0; i < 500; i += 1) log.info({ i }, 'text');
      process.exit(0);`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
    });
    expect(stdout).toBe('');
    expect(
      stderr
        .trimEnd()
        .split('\n')
        .map(line => JSON.parse(line).i),
    ).toEqual(Array.from({ length: 500 }, (_, i) => i));
  });
});

describe('the log of a worker', () => {
  test('posts plain records that the main log writes with the time of the worker', () => {
    const { log, records } = captureWorker({ actor: 'orders', host: 2 });
    log.error({ trace: 'abc' }, 'failed');
    const main = capture();
    for (const record of records) writeRecord(main.log, record);
    expect(main.parsed()).toEqual([
      { level: 'error', name: 'shop', time: 1_600_000_000_000, actor: 'orders', host: 2, trace: 'abc', msg: 'failed' },
    ]);
  });

  test('posts nothing below its level', () => {
    const { log, records } = captureWorker({}, 'warn');
    log.info({}, 'not this');
    log.warn({}, 'this');
    expect(records.map(record => record.text)).toEqual(['this']);
  });

  test('posts only what can be cloned, within bounds, whatever the fields are', () => {
    const cycle: Record<string, unknown> = {
      big: 12n,
      made: new Date(0),
      fn: () => 1,
      symbol: Symbol('s'),
      bytes: Buffer.from('abc'),
      map: new Map([[1, 2]]),
    };
    cycle['self'] = cycle;
    const broken = {
      get field() {
        throw new Error('no');
      },
    };
    const { log, records } = captureWorker();
    const deep = [[[[[[[[[['x']]]]]]]]]];
    log.info({ cycle, broken, deep, many: Array(200).fill(1), long: 'x'.repeat(100_000) }, 'odd');
    expect(records[0]!.fields).toEqual({
      cycle: {
        big: '12',
        made: '1970-01-01T00:00:00.000Z',
        fn: '[function fn]',
        symbol: 'Symbol(s)',
        bytes: '[Buffer of 3 bytes]',
        map: '[Map of 1]',
        self: '[circular]',
      },
      broken: expect.stringContaining('[unreadable'),
      deep: [[[[[[['[…]']]]]]]],
      many: [...Array(100).fill(1), '[100 more]'],
      long: `${'x'.repeat(16_384)}…`,
    });
  });

  test('shows no more of a huge field than a line should hold', () => {
    const { log, records } = captureWorker();
    const rows = Array.from({ length: 100 }, () => Array.from({ length: 100 }, () => ({ a: { b: 1 } })));
    log.info({ rows }, 'huge');
    expect(JSON.stringify(records).length).toBeLessThan(200_000);
  });

  test('can be written to any other log by its fields and text', () => {
    const seen: unknown[] = [];
    const take = (fields: Record<string, unknown>, text: string) => seen.push([fields, text]);
    const host: Log = { debug: take, info: take, warn: take, error: take };
    const { log, records } = captureWorker({ host: 1 });
    log.info({ n: 1 }, 'hello');
    for (const record of records) writeRecord(host, record);
    expect(seen).toEqual([[{ host: 1, n: 1 }, 'hello']]);
  });
});

test('an error in a field shows its code, class, stack and causes', () => {
  const { log, parsed } = capture();
  const cause = Object.assign(new Error('connect refused by mssql://sa:Pa55word@db:1433'), { code: 'ECONNREFUSED' });
  log.error({ err: new KeymillError('IO_FAILED', 'write failed', { cause, place: { actor: 'orders' } }) }, 'gave up');
  expect(parsed()[0].err).toMatchObject({
    name: 'KeymillError',
    code: 'IO_FAILED',
    class: 'transient',
    message: 'IO_FAILED: write failed',
    place: { actor: 'orders' },
    stack: expect.stringContaining('log.test.ts'),
    cause: { code: 'ECONNREFUSED', class: 'transient', message: 'connect refused by mssql://sa:***@db:1433' },
  });
  expect(JSON.stringify(parsed())).not.toContain('Pa55word');
});

describe('redaction', () => {
  const secrets = {
    password: 's3cr3t!',
    nested: { dbPassword: 's3cr3t!', list: [{ API_KEY: 's3cr3t!' }, { accessToken: { value: 's3cr3t!' } }] },
    authorization: 'Bearer s3cr3t!',
    connectionString: 'Server=db;Pwd=s3cr3t!',
    url: new URL('redis://:s3cr3t!@cache:6379/0'),
    text: 'Server=db;User Id=sa;Password=s3cr3t!;Encrypt=true',
    pin: { secret: 1234 },
  };

  test('hides fields named like secrets at any depth, and secrets in texts, in both logs', () => {
    const main = capture();
    main.log.info(secrets, 'opened pulsar+ssl://bus:6651?token=s3cr3t!&x=1 and mssql://sa:s3cr3t!@db');
    const worker = captureWorker();
    worker.log.info(secrets, 'opened https://u:s3cr3t!@host/path');
    for (const output of [main.lines.join(''), JSON.stringify(worker.records)]) {
      expect(output).not.toContain('s3cr3t!');
      expect(output).not.toContain('1234');
    }
    expect(main.parsed()[0]).toMatchObject({
      url: 'redis://:***@cache:6379/0',
      text: 'Server=db;User Id=sa;Password=***;Encrypt=true',
      msg: 'opened pulsar+ssl://bus:6651?token=***&x=1 and mssql://sa:***@db',
    });
  });

  test('does not show the head of a password that a cut text ends in', () => {
    const { log, records } = captureWorker();
    log.info({ long: `${'x '.repeat(8180)}redis://user:s3cr3t!s3cr3t!s3cr3t!@host` }, 'long');
    log.info({ long: `${'x '.repeat(8182)}password="s3cr3t! and more of it"` }, 'long');
    expect(JSON.stringify(records)).not.toContain('s3cr');
  });

  test('leaves alone what only looks alike', () => {
    const { log, parsed } = capture();
    const fields = { passivated: 3, passed: true, tokenSet: false, secretary: null, hotKeys: 2, author: 'x' };
    log.info(fields, 'password is missing');
    expect(parsed()[0]).toMatchObject({ ...fields, msg: 'password is missing' });
  });

  test.each([
    ['redis://:pw@host:6379/0', 'redis://:***@host:6379/0'],
    ['mssql://sa:p@ss@db:1433/shop?encrypt=true', 'mssql://sa:***@db:1433/shop?encrypt=true'],
    ['redis://user:p/s?s#@host', 'redis://user:***@host'],
    ['mssql://db/shop?user=sa&password=pw&encrypt=true', 'mssql://db/shop?user=sa&password=***&encrypt=true'],
    ['pulsar://a:6650,b:6650', 'pulsar://a:6650,b:6650'],
    ['https://host/mail@example.org', 'https://host/mail@example.org'],
    ['https://host:8080/path?x=1', 'https://host:8080/path?x=1'],
    ['redis://user:12/34@host', 'redis://user:***@host'],
    ['redis://user@host', 'redis://user@host'],
    ['sqlite:./shop.db', 'sqlite:./shop.db'],
    ['memory:', 'memory:'],
    ['not a url', 'not a url'],
  ])('writes %s as %s', (url, safe) => {
    expect(redactUrl(url)).toBe(safe);
    expect(redactUrl(safe)).toBe(safe);
  });

  test('hides any password, escaped or not, of a URL with a user', () => {
    const password = fc
      .string({ minLength: 4, maxLength: 20, unit: 'grapheme-ascii' })
      .filter(text => !/\s/.test(text));
    fc.assert(
      fc.property(password, fc.boolean(), (raw, escaped) => {
        const secret = escaped ? encodeURIComponent(raw) : raw;
        const shown = redactUrl(`redis://user:${secret}@cache.example:6379/0`);
        expect(shown).toBe('redis://user:***@cache.example:6379/0');
        expect(redactText(`cannot open redis://user:${secret}@cache.example:6379/0 now`)).toBe(
          'cannot open redis://user:***@cache.example:6379/0 now',
        );
      }),
    );
  });
});

test('the hash of a key is eight hex digits, also for the negative numbers that bit operations make', () => {
  expect([keyHash(0), keyHash(255), keyHash(0xdeadbeef), keyHash(0xdeadbeef | 0), keyHash(-1)]).toEqual([
    '00000000',
    '000000ff',
    'deadbeef',
    'deadbeef',
    'ffffffff',
  ]);
});

test('a level is read as operators write it, and refused by name when there is none such', () => {
  expect([undefined, '', 'WARN', 'silent'].map(parseLogLevel)).toEqual(['info', 'info', 'warn', 'silent']);
  expect(() => parseLogLevel('verbose')).toThrow(/debug, info, warn, error, silent.*"verbose"/);
  const error = (() => {
    try {
      return parseLogLevel('loud');
    } catch (thrown) {
      return thrown;
    }
  })();
  expect(isKeymillError(error, 'CONFIG_INVALID')).toBe(true);
});
