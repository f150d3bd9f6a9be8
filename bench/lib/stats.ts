/** The statistics of the tables: medians, spreads, and ratios of what ran side by side. */

/** The middle of the values; NaN when there are none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Smallest and largest. */
export function spread(values: readonly number[]): [low: number, high: number] {
  return [Math.min(...values), Math.max(...values)];
}

export interface Ratio {
  /** Median over the mirrored pairs. */
  readonly value: number;
  /** Over the single pairs, which says more of the noise. */
  readonly spread: [low: number, high: number];
}

/**
 * Figures of `ours` over those of `theirs`, pass by pass. Passes come in mirrored twos (A B, then B A), and each two
 * make one ratio, the geometric mean of both, in which a machine that slows down or speeds up evenly cancels out. A
 * pass left over at the end counts by itself.
 */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): Ratio {
  if (ours.length !== theirs.length || ours.length === 0)
    throw new RangeError(`expected as many figures on both sides, got ${ours.length} and ${theirs.length}`);
  const pairs = ours.map((our, i) => our / theirs[i]!);
  const mirrored: number[] = [];
  for (let i = 0; i < pairs.length; i += 2)
    mirrored.push(i + 1 < pairs.length ? Math.sqrt(pairs[i]! * pairs[i + 1]!) : pairs[i]!);
  return { value: median(mirrored), spread: spread(pairs) };
}

/** Indexes 0 … count-1 in the order to run them: there and back again, as often as there are passes (A B, B A, …). */
export function mirrored(count: number, passes: number): number[][] {
  const there = Array.from({ length: count }, (_, i) => i);
  return Array.from({ length: passes }, (_, pass) => (pass % 2 === 0 ? there : there.toReversed()));
}

/** Slope of y over x as the median of the slopes between all pairs of points (Theil and Sen): outliers do not bend it. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const slopes: number[] = [];
  points.forEach(([x, y], i) => {
    for (const [laterX, laterY] of points.slice(i + 1)) if (laterX !== x) slopes.push((laterY - y) / (laterX - x));
  });
  return median(slopes);
}

/** A share needs ten values beyond it before it is said: below, the noise of one of them is the figure. */
export function isEnough(count: number, share: number): boolean {
  return count * (1 - share) >= 10 - 1e-9;
}
