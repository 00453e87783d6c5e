/** Headers of the PROXY protocol, version 2, right and wrong. */

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

/** Of a TCP connection over IPv4 unless told otherwise. */
export function proxyHeader(
  parts: { command?: number; family?: number; source?: readonly number[]; rest?: Buffer } = {},
): Buffer {
  const { command = 0x21, family = 0x11, source = [203, 0, 113, 7] } = parts
  const rest = parts.rest ?? Buffer.from([...source, 127, 0, 0, 1, 0x30, 0x39, 0x07, 0x5b])
  const head = Buffer.from([command, family, rest.length >> 8, rest.length & 0xff])
  return Buffer.concat([signature, head, rest])
}
