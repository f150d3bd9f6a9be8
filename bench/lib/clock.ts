/** What performance.now(), which starts anew in each thread, is behind the clock of the machine, ns: it is read after that, the sooner the truer. */
const behind = Math.max(
  ...Array.from({ length: 100 }, () => Number(process.hrtime.bigint()) - performance.now() * 1e6),
);

/**
 * Nanoseconds on the monotonic clock of the machine. All threads of a process read the same one to the microsecond, so a
 * latency may begin in one thread and end in another. Makes no garbage, as process.hrtime.bigint() would.
 */
export function now(): number {
  return behind + performance.now() * 1e6;
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
