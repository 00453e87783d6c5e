/**
 * The header of the PROXY protocol, version 2, with which a load balancer says whose connection it passes on
 * (haproxy.org, proxy-protocol.txt, §2.2). Pure, and strict: what is not exactly this is no header.
 */

/** §2.2: no packet of MQTT or TLS begins like this. */
const signature = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a)
const fixedBytes = 16
/** Addresses and room for what a load balancer may add (TLVs), which is not looked at. */
const restBytesMax = 520
const local = 0x20
const proxied = 0x21
const tcp4 = 0x11
const tcp6 = 0x21
const addressBytes = { [tcp4]: 12, [tcp6]: 36 } as const

export type ProxyHeader =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'invalid' }
  /** `bytes` belong to the header; without a `source` the load balancer speaks for itself, to see whether we live. */
  | { readonly kind: 'complete'; readonly bytes: number; readonly source?: string }

const incomplete: ProxyHeader = { kind: 'incomplete' }
const invalid: ProxyHeader = { kind: 'invalid' }

/** @param bytes what has come so far */
export function parseProxyHeader(bytes: Uint8Array): ProxyHeader {
  for (let i = 0; i < Math.min(signature.length, bytes.length); i++)
    if (bytes[i] !== signature[i]) return invalid
  if (bytes.length < fixedBytes) return incomplete
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const command = view.getUint8(12)
  const family = view.getUint8(13)
  const restBytes = view.getUint16(14)
  if (restBytes > restBytesMax) return invalid
  const end = fixedBytes + restBytes
  if (command === local) return bytes.length < end ? incomplete : { kind: 'complete', bytes: end }
  if (command !== proxied || (family !== tcp4 && family !== tcp6)) return invalid
  if (restBytes < addressBytes[family]) return invalid
  if (bytes.length < end) return incomplete
  const source = family === tcp4 ? ipv4At(view, fixedBytes) : ipv6At(view, fixedBytes)
  return { kind: 'complete', bytes: end, source }
}

function ipv4At(view: DataView, at: number): string {
  return [0, 1, 2, 3].map((i) => view.getUint8(at + i)).join('.')
}

/** Not shortened: it only has to be the same for the same address. */
function ipv6At(view: DataView, at: number): string {
  return [0, 2, 4, 6, 8, 10, 12, 14].map((i) => view.getUint16(at + i).toString(16)).join(':')
}
