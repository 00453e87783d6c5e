import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type DeviceId, identifierPattern } from '../../../../core/contract/device.ts'
import { FleetError, isFleetError } from '../../../../core/contract/errors.ts'
import {
  frameBytes,
  frameHead,
  type HandoverMessage,
  handoverMessagesMax,
  readFrames,
  writeFrame,
} from '../../../../core/contract/handover.ts'

function encode(messages: readonly HandoverMessage[]): Uint8Array {
  const frames = messages.map((message) => ({ ...message, head: frameHead(message) }))
  const body = new Uint8Array(frames.reduce((sum, { head, payload }) => sum + frameBytes(head, payload), 0))
  const view = new DataView(body.buffer)
  let offset = 0
  for (const frame of frames) offset = writeFrame(body, view, offset, frame)
  expect(offset).toBe(body.length)
  return body
}

const ascii = (maxLength: number) =>
  fc.string({
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
    maxLength,
  })
const messages = fc.record({
  // The pattern is the proof that `parseDeviceId` would ask for.
  deviceId: fc.stringMatching(new RegExp(identifierPattern)).map((text) => text as DeviceId),
  credentialId: ascii(255),
  topic: ascii(300),
  receivedAtMs: fc.oneof(
    fc.integer({ min: 1, max: 8_640_000_000_000_000 }),
    fc.constant(1_763_906_700_000.25),
  ),
  payload: fc.uint8Array({ maxLength: 200 }),
})
const batches = fc.array(messages, { maxLength: 8 })
const example: HandoverMessage = {
  deviceId: 'gate-1' as DeviceId, // fits the grammar
  credentialId: 'cred_1',
  topic: 'devices/gate-1/readings',
  receivedAtMs: 1_763_906_700_000,
  payload: Uint8Array.of(1, 2, 3),
}
const malformed = expect.objectContaining({ code: 'handover.malformed' })

/** Reads what may be broken; anything but the one error that says so is a failure. */
function readOrRefuse(body: Uint8Array): HandoverMessage[] | undefined {
  try {
    return readFrames(body)
  } catch (error) {
    if (isFleetError(error, 'handover.malformed')) return undefined
    throw error
  }
}

describe('the frames of a handover', () => {
  it('come out as they went in', () => {
    fc.assert(
      fc.property(batches, (batch) => {
        expect(readFrames(encode(batch))).toEqual(batch)
      }),
    )
  })

  it('come out of any part of a larger buffer', () => {
    const body = encode([example, example])
    const larger = new Uint8Array(body.length + 20)
    larger.set(body, 13)
    expect(readFrames(larger.subarray(13, 13 + body.length))).toEqual([example, example])
  })

  it('tell messages apart that share a head, a part of it, or only its hash', () => {
    // In a hash that multiplies by 31, "Aa" and "BB" are the same.
    const topics = ['Aa', 'BB', 'Aa', 'AaBB', 'BBAa', 'AaBB']
    const batch = topics.map((topic, i) => ({ ...example, topic, payload: Uint8Array.of(i) }))
    expect(readFrames(encode(batch))).toEqual(batch)
  })

  it('have payloads that are views, not copies', () => {
    const body = encode([example])
    const [message] = readFrames(body)
    expect(message?.payload.buffer).toBe(body.buffer)
  })

  it('are none in an empty body', () => {
    expect(readFrames(new Uint8Array(0))).toEqual([])
  })

  it('may have the longest topic that their length field can say', () => {
    const batch = [{ ...example, topic: 't'.repeat(0xffff) }]
    expect(readFrames(encode(batch))).toEqual(batch)
  })
})

describe('a broken handover', () => {
  it('cut short anywhere but between frames is malformed', () => {
    fc.assert(
      fc.property(fc.array(messages, { minLength: 1, maxLength: 3 }), fc.nat(), (batch, at) => {
        const body = encode(batch)
        const length = at % body.length
        const whole = readOrRefuse(body.subarray(0, length))
        // What can be read whole must be the first of what was written.
        if (whole !== undefined) expect(encode(whole)).toEqual(body.subarray(0, length))
      }),
    )
    expect(() => readFrames(encode([example]).subarray(0, -1))).toThrow(malformed)
  })

  it('never harms, whichever bytes are changed', () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(batches, changes, (batch, bytes) => {
        const body = encode(batch)
        for (const [at, value] of bytes) if (body.length > 0) body[at % body.length] = value
        const read = readOrRefuse(body)
        if (read !== undefined) expect(encode(read)).toEqual(body)
      }),
      { numRuns: 500 },
    )
  })

  it('never harms, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (body) => {
        const read = readOrRefuse(body)
        if (read !== undefined) expect(encode(read)).toEqual(body)
      }),
      { numRuns: 500 },
    )
  })

  const broken = (change: (body: Uint8Array, view: DataView) => void) => {
    const body = encode([example])
    change(body, new DataView(body.buffer))
    return body
  }
  it.each([
    ['a frame longer than the body', broken((body, view) => view.setUint32(0, body.length))],
    ['a frame shorter than its head', broken((_, view) => view.setUint32(0, 12))],
    ['a frame of nothing', broken((_, view) => view.setUint32(0, 0))],
    ['a topic longer than its frame', broken((_, view) => view.setUint16(14, 0xffff))],
    ['a device that breaks the grammar', broken((body) => body.set([0x2b], 16))],
    ['a device without a name', broken((body) => body.set([0], 12))],
    ['a topic that is not ASCII', broken((body) => body.set([0xc3], 30))],
    ['no time', broken((_, view) => view.setFloat64(4, Number.NaN))],
    ['a time before all', broken((_, view) => view.setFloat64(4, -1))],
    ['a time after all', broken((_, view) => view.setFloat64(4, 1e300))],
  ])('is refused for %s', (_what, body) => {
    expect(() => readFrames(body)).toThrow(malformed)
  })

  it('is refused for more messages than are taken at once', () => {
    const one = encode([{ ...example, payload: new Uint8Array(0) }])
    const body = new Uint8Array(one.length * (handoverMessagesMax + 1))
    for (let i = 0; i <= handoverMessagesMax; i++) body.set(one, i * one.length)
    expect(readFrames(body.subarray(one.length))).toHaveLength(handoverMessagesMax)
    expect(() => readFrames(body)).toThrow(malformed)
  })

  it('says what is wrong in words that may reach the peer', () => {
    let caught: unknown
    try {
      readFrames(new Uint8Array(3))
    } catch (error) {
      caught = error
    }
    expect(caught).toBeInstanceOf(FleetError)
    expect(caught).toMatchObject({ kind: 'invalid', safeDetail: 'truncated frame' })
  })
})

describe('a frame head', () => {
  it.each([
    ['a credential longer than its length field can say', { credentialId: 'c'.repeat(256) }],
    ['a topic longer than its length field can say', { topic: 't'.repeat(0x10000) }],
    ['a topic beyond ASCII', { topic: 'devices/gäte/readings' }],
    ['a control character', { credentialId: 'cred\u0000' }],
  ])('is not made of %s', (_what, change) => {
    expect(() => frameHead({ ...example, ...change })).toThrow(RangeError)
  })
})
