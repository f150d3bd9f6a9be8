/**
 * Nanoseconds on the monotonic clock of the machine. All threads of a process read the same one, unlike
 * performance.now(), which starts anew in each, so a latency may begin in one thread and end in another.
 */
export function now(): number {
  return Number(process.hrtime.bigint());
}

/** The end of this turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise(resolve => {
    setImmediate(resolve);
  });
}

export function sleep(ms: number): Promise<void> {
  return new Promise(resolve => {
    setTimeout(resolve, ms);
  });
}
