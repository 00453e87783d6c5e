/**
 * The body of `POST /v1/readings`, from broker to ingest: frames of messages as they came, and the verdicts that go back.
 *
 * A frame is, big-endian: u32 length of what follows · f64 receivedAtMs · u8 length of deviceId · u8 length of
 * credentialId · u16 length of topic · deviceId · credentialId · topic (ASCII) · payload bytes as the device sent them.
 * The part from the lengths to the topic is the same for all messages of a connection on a topic, so it is built once (`frameHead`).
 */
import { type Static, Type } from 'typebox'
import { type DeviceId, parseDeviceId } from './device.ts'
import { FleetError } from './errors.ts'

/**
 * Header of an answer: the store that has taken the readings, the same for as long as it is the same store. A broker
 * sends it with whatever it hands over next, and another store refuses: what it does not know it would count again.
 */
export const storeHeader = 'lotwatch-store'

export const handoverMediaType = 'application/vnd.lotwatch.handover'
/** A handover body beyond this is refused with 413. */
export const handoverBytesMax = 16 * 1024 * 1024
export const handoverMessagesMax = 20_000

const fixedBytes = 4 + 8
const headFixedBytes = 4
/** The last instant a Date can hold. */
const timeMsMax = 8_640_000_000_000_000

/** One message on its way from a device through the broker to ingest. */
export interface HandoverMessage {
  readonly deviceId: DeviceId
  readonly credentialId: string
  readonly topic: string
  /** When the broker had it, Unix milliseconds. */
  readonly receivedAtMs: number
  readonly payload: Uint8Array
}

/** Verdict letters (`verdictLetters`), one string per message in order, one letter per reading of it. */
export const HandoverAnswer = Type.Object(
  { verdicts: Type.Array(Type.String({ pattern: '^[srdcq]*$' })) },
  {
    additionalProperties: false,
    description: 'the answer to POST /v1/readings: every message has been settled',
  },
)
export type HandoverAnswer = Static<typeof HandoverAnswer>

/**
 * The part of a frame that does not change between messages of one connection on one topic.
 * @throws RangeError when a part is not printable ASCII or longer than its length field can say
 */
export function frameHead(of: Pick<HandoverMessage, 'deviceId' | 'credentialId' | 'topic'>): Uint8Array {
  const text = of.deviceId + of.credentialId + of.topic
  if (of.deviceId.length > 0xff || of.credentialId.length > 0xff || of.topic.length > 0xffff)
    throw new RangeError('a part of a frame head is too long')
  const head = new Uint8Array(headFixedBytes + text.length)
  head[0] = of.deviceId.length
  head[1] = of.credentialId.length
  head[2] = of.topic.length >> 8
  head[3] = of.topic.length & 0xff
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7e || code < 0x20) throw new RangeError('a frame head is printable ASCII')
    head[headFixedBytes + i] = code
  }
  return head
}

/** Bytes a frame takes. */
export function frameBytes(head: Uint8Array, payload: Uint8Array): number {
  return fixedBytes + head.length + payload.length
}

/** Writes a frame at `offset` of `target`, whose `view` must cover the same bytes; the caller has made room. */
export function writeFrame(
  target: Uint8Array,
  view: DataView,
  offset: number,
  frame: { head: Uint8Array; receivedAtMs: number; payload: Uint8Array },
): number {
  const { head, payload } = frame
  view.setUint32(offset, 8 + head.length + payload.length)
  view.setFloat64(offset + 4, frame.receivedAtMs)
  target.set(head, offset + fixedBytes)
  target.set(payload, offset + fixedBytes + head.length)
  return offset + fixedBytes + head.length + payload.length
}

const printable = /^[ -~]*$/

type Head = Pick<HandoverMessage, 'deviceId' | 'credentialId' | 'topic'>

/**
 * Reads all frames of a handover. Payloads are views into `body`.
 * @throws FleetError `handover.malformed` when a length does not fit or an identifier breaks the grammar
 */
export function readFrames(body: Uint8Array): HandoverMessage[] {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  const messages: HandoverMessage[] = []
  const heads = new Heads(body)
  let offset = 0
  while (offset < body.length) {
    if (messages.length >= handoverMessagesMax) throw malformed('too many messages')
    if (offset + fixedBytes + headFixedBytes > body.length) throw malformed('truncated frame')
    const end = offset + 4 + view.getUint32(offset)
    const receivedAtMs = view.getFloat64(offset + 4)
    const headAt = offset + fixedBytes
    const payloadAt =
      headAt + headFixedBytes + view.getUint8(headAt) + view.getUint8(headAt + 1) + view.getUint16(headAt + 2)
    if (end > body.length || payloadAt > end) throw malformed('a length points outside its frame')
    if (!(receivedAtMs > 0 && receivedAtMs <= timeMsMax)) throw malformed('receivedAtMs is not a time')
    const head = heads.at(headAt, payloadAt)
    messages.push({
      deviceId: head.deviceId,
      credentialId: head.credentialId,
      topic: head.topic,
      receivedAtMs,
      payload: body.subarray(payloadAt, end),
    })
    offset = end
  }
  return messages
}

/**
 * Each head is read once, however many messages share it: found again by its bytes, without making a string of them,
 * which was measured to cost more than the rest of a frame.
 */
class Heads {
  readonly #body: Uint8Array
  readonly #known = new Map<number, { head: Head; start: number; end: number }>()

  constructor(body: Uint8Array) {
    this.#body = body
  }

  at(start: number, end: number): Head {
    const body = this.#body
    let hash = 0
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + (body[i] as number)) | 0 // i < end ≤ length
    const known = this.#known.get(hash)
    if (known !== undefined && this.#isSame(known.start, known.end, start, end)) return known.head
    const head = readHead(body, start, end)
    this.#known.set(hash, { head, start, end })
    return head
  }

  #isSame(start: number, end: number, otherStart: number, otherEnd: number): boolean {
    if (end - start !== otherEnd - otherStart) return false
    for (let i = start, j = otherStart; i < end; i++, j++) if (this.#body[i] !== this.#body[j]) return false
    return true
  }
}

function readHead(body: Uint8Array, start: number, end: number): Head {
  let head = ''
  for (let i = start; i < end; i++) head += String.fromCharCode(body[i] as number) // i < end ≤ length
  if (!printable.test(head.slice(headFixedBytes))) throw malformed('a head is not printable ASCII')
  const credentialAt = headFixedBytes + head.charCodeAt(0)
  const topicAt = credentialAt + head.charCodeAt(1)
  const deviceId = parseDeviceId(head.slice(headFixedBytes, credentialAt))
  if (deviceId === undefined) throw malformed('deviceId breaks the grammar')
  return { deviceId, credentialId: head.slice(credentialAt, topicAt), topic: head.slice(topicAt) }
}

function malformed(detail: string): FleetError {
  return new FleetError('handover.malformed', detail, { safeDetail: detail })
}
