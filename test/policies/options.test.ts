import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { parsePolicyOptions, policySchema } from '../../runtime/policies/options.ts';

describe('the options of a policy', () => {
  it('switch a part on only when it is named', () => {
    expect(parsePolicyOptions('p', {})).toEqual({ deadlineMs: 0, timeoutMs: 0 });
  });

  it("default to the seed's figures", () => {
    const { retry, breaker } = parsePolicyOptions('p', { retry: {}, breaker: {} });
    expect(retry).toEqual({
      kind: 'exponential',
      attempts: 6,
      delayMs: 100,
      factor: 2,
      maxDelayMs: 30_000,
      jitter: 0.5,
    });
    expect(breaker).toMatchObject({ failures: 5, openMs: 60_000, successes: 2 });
  });

  it('name path, expectation and finding of every mistake', () => {
    const parse = () =>
      parsePolicyOptions('redis', { retry: { attempts: 0 }, breaker: { slow: { calls: 10, minCalls: 11 } } });
    expect(parse).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', place: { at: 'policy redis' } }));
    expect(parse).toThrow(/retry\.attempts: .*>=1, found 0/);
    expect(parse).toThrow(/breaker\.slow\.minCalls: expected no more than calls/);
    // @ts-expect-error a misspelt option
    expect(() => parsePolicyOptions('redis', { retries: {} })).toThrow(/options: .*"retries"/);
  });

  it('are all documented', () => {
    const undocumented: string[] = [];
    const walk = (schema: z.core.JSONSchema.BaseSchema, path: string) => {
      for (const [name, option] of Object.entries(schema.properties ?? {})) {
        const at = path ? `${path}.${name}` : name;
        if (typeof option === 'boolean') continue;
        if (typeof option['doc'] !== 'string') undocumented.push(at);
        walk(option, at);
      }
    };
    walk(z.toJSONSchema(policySchema, { io: 'input' }), '');
    expect(undocumented).toEqual([]);
  });
});
