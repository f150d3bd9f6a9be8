/**
 * The numbers above a mark that are acknowledged, as runs: sorted, apart from each other, none below or at the mark. There
 * are never more runs than messages that are given and not acknowledged, plus one, so it is bounded by what bounds those.
 */
export class AckedRanges {
  /** Run i holds starts[i] ≤ n < ends[i]. */
  #starts: number[] = [];
  #ends: number[] = [];
  /** Numbers in all runs. */
  size = 0;

  /** Reads what `toJson` wrote. Throws a SyntaxError or TypeError. */
  static fromJson(text: string | null): AckedRanges {
    const ranges = new AckedRanges();
    if (text === null) return ranges;
    const numbers = JSON.parse(text) as number[];
    let at = 0;
    for (let i = 0; i + 1 < numbers.length; i += 2) {
      const [gap, length] = [numbers[i]!, numbers[i + 1]!];
      if (!(gap >= 0 && length > 0)) throw new TypeError(`not acknowledged runs: ${text.slice(0, 80)}`);
      ranges.#starts.push(at + gap);
      ranges.#ends.push(at + gap + length);
      ranges.size += length;
      at += gap + length;
    }
    return ranges;
  }

  /** Gaps and lengths in turn; null for none. */
  toJson(): string | null {
    if (this.#starts.length === 0) return null;
    const numbers: number[] = [];
    let at = 0;
    for (let i = 0; i < this.#starts.length; i++) {
      numbers.push(this.#starts[i]! - at, this.#ends[i]! - this.#starts[i]!);
      at = this.#ends[i]!;
    }
    return JSON.stringify(numbers);
  }

  copy(): AckedRanges {
    const copy = new AckedRanges();
    copy.#starts = this.#starts.slice();
    copy.#ends = this.#ends.slice();
    copy.size = this.size;
    return copy;
  }

  has(n: number): boolean {
    const i = this.#runBefore(n);
    return i >= 0 && n < this.#ends[i]!;
  }

  /** How many are below `n`. */
  countBelow(n: number): number {
    let count = this.size;
    for (let i = this.#starts.length - 1; i >= 0 && this.#ends[i]! > n; i--)
      count -= this.#ends[i]! - Math.max(n, this.#starts[i]!);
    return count;
  }

  /** False when it is in already. */
  add(n: number): boolean {
    const i = this.#runBefore(n);
    if (i >= 0 && n < this.#ends[i]!) return false;
    const joinsLeft = i >= 0 && this.#ends[i] === n;
    const joinsRight = this.#starts[i + 1] === n + 1;
    if (joinsLeft && joinsRight) {
      this.#ends[i] = this.#ends[i + 1]!;
      this.#starts.splice(i + 1, 1);
      this.#ends.splice(i + 1, 1);
    } else if (joinsLeft) this.#ends[i] = n + 1;
    else if (joinsRight) this.#starts[i + 1] = n;
    else {
      this.#starts.splice(i + 1, 0, n);
      this.#ends.splice(i + 1, 0, n + 1);
    }
    this.size++;
    return true;
  }

  /** Takes out what the mark has reached. Returns where the mark then stands: behind the run that begins there, if one does. */
  settle(mark: number): number {
    let at = mark;
    let runs = 0;
    while (runs < this.#starts.length && this.#starts[runs]! <= at) {
      this.size -= this.#ends[runs]! - this.#starts[runs]!;
      at = Math.max(at, this.#ends[runs]!);
      runs++;
    }
    if (runs > 0) {
      this.#starts.splice(0, runs);
      this.#ends.splice(0, runs);
    }
    return at;
  }

  /** The first stretch from `n` on that is not acknowledged: from ≤ x < to. */
  gap(n: number): { readonly from: number; readonly to: number } {
    const i = this.#runBefore(n);
    const from = i >= 0 && n < this.#ends[i]! ? this.#ends[i]! : n;
    return { from, to: this.#starts[i + 1] ?? Number.POSITIVE_INFINITY };
  }

  /** Index of the last run that begins at or before `n`, -1 for none. */
  #runBefore(n: number): number {
    const starts = this.#starts;
    let low = 0;
    let high = starts.length;
    if (high > 0 && starts[high - 1]! <= n) return high - 1; // mostly near the end
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle]! <= n) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
