/** How I/O actors check their options: faults path by path for `check`, CONFIG_INVALID with all of them for the start. */
import type { z } from 'zod';
import { KeymillError } from '../errors.ts';

export interface OptionReader<T> {
  /** What is wrong with these options; empty when nothing is. */
  check(options: Record<string, unknown>): { path: string; message: string }[];
  /** `at` names where they stand. Throws CONFIG_INVALID. */
  parse(options: Record<string, unknown>, at: string): T;
}

export function optionReader<S extends z.ZodType>(schema: S): OptionReader<z.output<S>> {
  const check = (options: Record<string, unknown>): { path: string; message: string }[] =>
    schema.safeParse(options).error?.issues.map(({ path, message }) => ({ path: path.join('.'), message })) ?? [];
  return {
    check,
    parse(options, at) {
      const parsed = schema.safeParse(options);
      if (parsed.success) return parsed.data;
      const lines = check(options).map(({ path, message }) => `${path === '' ? at : `${at}.${path}`}: ${message}`);
      throw new KeymillError('CONFIG_INVALID', lines.join('; '), { place: { at } });
    },
  };
}
