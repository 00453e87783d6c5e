import { generate } from 'mqtt-packet'
import { expect, it } from 'vitest'
import { publishPacket } from '../../../../broker/engine/publish-packet.ts'

it.each([0, 1, 100, 101, 102, 103, 127, 128, 16_300, 16_383, 16_384, 60_000])(
  'is, with a payload of %i bytes, what mqtt-packet makes of it',
  (bytes) => {
    const payload = Buffer.alloc(bytes, 7)
    for (const messageId of [0, 1, 258, 65_535]) {
      const qos = messageId === 0 ? 0 : 1
      const packet = { cmd: 'publish', topic: 'devices/a/config', payload, qos, messageId } as const
      const theirs = generate({ ...packet, dup: false, retain: false })
      expect(Buffer.from(publishPacket(packet.topic, payload, messageId)).equals(theirs)).toBe(true)
    }
  },
)
