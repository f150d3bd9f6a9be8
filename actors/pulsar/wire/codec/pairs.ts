/**
 * A plain object for names that others choose: it inherits nothing, so `__proto__` and `constructor` are names like all others,
 * and unlike Object.create(null) it is no slow hash table.
 */
export const Pairs = function pairs() {} as unknown as new <T>() => Record<string, T>;

Object.defineProperty(Pairs, 'prototype', { value: Object.freeze(Object.create(null)) });
