/** Makes the next write of any file handle fail in the middle, as a full disk does. */
import { open } from 'node:fs/promises';
import { vi } from 'vitest';

export async function failNextWrite(code: string): Promise<void> {
  const handle = await open(import.meta.filename, 'r');
  const prototype = Object.getPrototypeOf(handle) as { appendFile(this: unknown, data: Uint8Array): Promise<void> };
  await handle.close();
  const { appendFile } = prototype;
  const spy = vi.spyOn(prototype, 'appendFile');
  spy.mockImplementationOnce(async function (this: unknown, data) {
    spy.mockRestore();
    await appendFile.call(this, data.subarray(0, Math.ceil(data.length / 2)));
    throw Object.assign(new Error(`${code}: write`), { code });
  });
}
