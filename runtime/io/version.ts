/**
 * The version of a value: which life of its origin, and which change in it (DESIGN rule 13). A new incarnation of a database,
 * a resync or a lost store raises `epoch`; `n` counts within it.
 */
export interface Version {
  readonly epoch: number;
  readonly n: number;
}

/** Below zero when `a` is older than `b`, 0 when they are equal. */
export function compareVersions(a: Version, b: Version): number {
  return a.epoch - b.epoch || a.n - b.n;
}
