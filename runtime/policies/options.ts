/**
 * The options of a policy. A part that is left out is off; `{}` switches it on with its defaults, so
 * `{ retry: {}, breaker: {} }` is the seed's retry and breaker (C225 to C242). Types, checks and docs come from here.
 * Figures that name no line of a seed: 50 % of 100 calls and 60 s are resilience4j's, the 20 % budget is Envoy's, the rest ours.
 */
import { z } from 'zod';
import { describe } from '../errors.ts';
import { policyError } from './policy-error.ts';

const count = (min: number, max: number) => z.number().int().min(min).max(max);
const ms = (max: number) => z.number().min(0).max(max);
const ratio = () => z.number().min(0.01).max(0.99);
const DAY = 86_400_000;

const sampling = {
  calls: count(1, 100_000).default(100).meta({ doc: 'How many of the last calls are looked at.' }),
  minCalls: count(1, 100_000).default(20).meta({ doc: 'Calls needed before it may open; no more than calls.' }),
};
const enough = (window: { calls: number; minCalls: number }) => window.minCalls <= window.calls;
const enoughSays = { path: ['minCalls'], message: 'expected no more than calls' };

export const retrySchema = z.strictObject({
  kind: z.enum(['exponential', 'fixed']).default('exponential').meta({ doc: 'Shape of the delays.' }),
  attempts: count(1, 1000).default(6).meta({ doc: 'Tries of one call, the first included (5 retries, C227).' }),
  delayMs: ms(DAY).default(100).meta({ doc: 'First delay (C225); with fixed, every delay.' }),
  factor: z.number().min(1).max(10).default(2).meta({ doc: 'Growth of an exponential delay (C226).' }),
  maxDelayMs: ms(DAY).default(30_000).meta({ doc: 'Longest exponential delay (C228).' }),
  jitter: z.number().min(0).max(1).default(0.5).meta({
    doc: 'Share of each delay that is random: the delay is between (1 - jitter) and 1 times its length.',
  }),
  budget: z
    .strictObject({
      ratio: z.number().min(0).max(10).default(0.2).meta({
        doc: 'Retries at most, as a share of the calls in the window, so that retries cannot multiply an overload.',
      }),
      windowMs: z.number().min(10).max(DAY).default(10_000).meta({ doc: 'The window; it slides in tenths.' }),
      minRetries: count(0, 1_000_000)
        .default(10)
        .meta({ doc: 'Retries in a window that are allowed to few calls too.' }),
    })
    .optional()
    .meta({ doc: 'Retry budget over all calls of the policy. Without it only attempts bounds them.' }),
});

export const breakerSchema = z.strictObject({
  failures: count(1, 1_000_000).default(5).meta({ doc: 'Failures in a row that open it (C240).' }),
  sampling: z
    .strictObject({
      failureRatio: ratio().default(0.5).meta({ doc: 'It opens when more than this share of the calls failed.' }),
      ...sampling,
    })
    .refine(enough, enoughSays)
    .optional()
    .meta({ doc: 'Opens by a share of failures in place of failures in a row.' }),
  slow: z
    .strictObject({
      slowMs: z.number().min(1).max(DAY).default(60_000).meta({ doc: 'A try that took this long or longer is slow.' }),
      slowRatio: ratio().default(0.5).meta({ doc: 'It opens when more than this share of the calls were slow.' }),
      ...sampling,
    })
    .refine(enough, enoughSays)
    .optional()
    .meta({
      doc: 'Opens by slow calls too, whether they succeed or not. A slow trial call or probe counts as failed.',
    }),
  openMs: z.number().min(1).max(DAY).default(60_000).meta({ doc: 'How long it is open before the next try (C241).' }),
  openFactor: z.number().min(1).max(10).default(1).meta({ doc: 'Growth of openMs each time the try fails.' }),
  maxOpenMs: z.number().min(1).max(DAY).optional().meta({ doc: 'Longest time open. Default: 10 times openMs.' }),
  successes: count(1, 1000).default(2).meta({ doc: 'Good probes or trial calls in a row that close it (C242).' }),
  probeTimeoutMs: z.number().min(1).max(DAY).default(2000).meta({ doc: 'Longest time of one probe (G4729).' }),
});

export const bulkheadSchema = z.strictObject({
  maxCalls: count(1, 1_000_000).default(100).meta({ doc: 'Tries that run at once (the SQL pool of G4592 has 100).' }),
  maxQueued: count(0, 10_000_000).default(1000).meta({ doc: 'Tries that wait for a slot; beyond it BULKHEAD_FULL.' }),
});

export const policySchema = z.strictObject({
  deadlineMs: ms(DAY).default(0).meta({
    doc: 'Longest time of one call, with all its tries, delays and waits; 0 means none. A call may bring a shorter one.',
  }),
  timeoutMs: ms(DAY).default(0).meta({ doc: 'Longest time of one try; 0 means none. The deadline cuts it shorter.' }),
  retry: retrySchema.optional().meta({ doc: 'Tries again what failed as transient, throttled or unknown.' }),
  breaker: breakerSchema.optional().meta({ doc: 'Stops calling a dependency that keeps failing.' }),
  bulkhead: bulkheadSchema.optional().meta({ doc: 'Bounds how many tries run at once.' }),
});

export type PolicyOptions = z.output<typeof policySchema>;
export type PolicyOptionsInput = z.input<typeof policySchema>;
export type RetryOptions = z.output<typeof retrySchema>;
export type BudgetOptions = NonNullable<RetryOptions['budget']>;
export type BreakerOptions = z.output<typeof breakerSchema>;
export type BulkheadOptions = z.output<typeof bulkheadSchema>;

/** Checks options and fills in defaults. Throws CONFIG_INVALID with a line per mistake: path, expected, found. */
export function parsePolicyOptions(name: string, input: PolicyOptionsInput): PolicyOptions {
  const parsed = policySchema.safeParse(input, { reportInput: true });
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map(issue => {
    const found = issue.code === 'unrecognized_keys' ? '' : `, found ${describe(issue.input)}`;
    return `${issue.path.join('.') || 'options'}: ${issue.message}${found}`;
  });
  throw policyError(name, 'CONFIG_INVALID', lines.join('; '));
}
