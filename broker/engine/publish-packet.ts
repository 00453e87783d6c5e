/** A PUBLISH as bytes (MQTT 3.1.1 §3.3), never retained and never a duplicate. Pure. */

/** @param packetId 0 for QoS 0, which has none */
export function publishPacket(topic: string, payload: Uint8Array, packetId: number): Uint8Array {
  const name = new TextEncoder().encode(topic)
  const length = 2 + name.length + (packetId === 0 ? 0 : 2) + payload.length
  const head = [packetId === 0 ? 0x30 : 0x32, ...remainingLength(length)]
  const packet = new Uint8Array(head.length + length)
  packet.set(head)
  let at = head.length
  const pair = (value: number) => {
    packet[at++] = value >> 8
    packet[at++] = value & 0xff
  }
  pair(name.length)
  packet.set(name, at)
  at += name.length
  if (packetId !== 0) pair(packetId)
  packet.set(payload, at)
  return packet
}

/** §2.2.3: seven bits a byte, the lowest first; the highest bit says that there are more. */
function remainingLength(length: number): number[] {
  const digits: number[] = []
  for (let rest = length; ; rest >>= 7) {
    if (rest <= 0x7f) return [...digits, rest]
    digits.push((rest & 0x7f) | 0x80)
  }
}
