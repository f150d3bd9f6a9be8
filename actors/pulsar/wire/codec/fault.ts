/** Bytes that are no frame, command or message, or a value that has no form on the wire. The connection says it in keymill's codes. */
export class WireFault extends Error {
  override readonly name = 'WireFault';
}
