/** Numbers as the tables show them. */

/** Three digits that count, with thousands set apart. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(Number(value.toPrecision(3))).toLocaleString('en');
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(2);
}

export function range(spread: readonly [number, number] | undefined): string {
  return spread === undefined || spread[0] === spread[1] ? '' : `${figure(spread[0])} to ${figure(spread[1])}`;
}
