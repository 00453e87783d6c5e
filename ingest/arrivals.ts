/**
 * What a handover brings, read as far as that goes without knowing what is stored already: envelopes parsed,
 * each reading checked by itself. Nothing is decided here.
 */
import { isUtf8 } from 'node:buffer'
import type { Epoch } from '../core/contract/device.ts'
import type { HandoverMessage } from '../core/contract/handover.ts'
import { type DroppedRange, parseReadingsMessage } from '../core/contract/payload.ts'
import {
  type QuarantineReason,
  type Reading,
  type ReadingFault,
  readingFault,
} from '../core/contract/reading.ts'
import { type ParsedTopic, parseTopic } from '../core/contract/topic.ts'

/** A reading in its message: right by itself, or with the reason why not. */
export type ArrivedReading =
  | { readonly fault: undefined; readonly reading: Reading }
  | { readonly fault: ReadingFault; readonly value: unknown /** `value` as JSON. */; readonly text: string }

/** A message in its handover. */
export type Arrival =
  | {
      readonly kind: 'readings'
      readonly message: HandoverMessage
      readonly epoch: Epoch | undefined
      readonly readings: readonly ArrivedReading[]
      readonly dropped: readonly DroppedRange[]
      readonly previous: { readonly epoch: Epoch; readonly lastSeq: number } | undefined
      /** It is in quarantine already, and is looked at once more. */
      readonly isReleased?: true
    }
  | { readonly kind: 'status'; readonly message: HandoverMessage; readonly body: string }
  | { readonly kind: 'unreadable'; readonly message: HandoverMessage; readonly reason: QuarantineReason }

/** Reads the messages of one handover. */
export function readArrivals(messages: readonly HandoverMessage[]): Arrival[] {
  const kinds = new TopicKinds()
  return messages.map((message) => {
    switch (kinds.of(message)) {
      case 'readings':
        return readReadings(message)
      case 'status':
        return readStatus(message)
      default:
        return { kind: 'unreadable', message, reason: 'payload.topic' }
    }
  })
}

/** A few connections send many messages: each of their topics is parsed once. */
class TopicKinds {
  readonly #topics = new Map<string, ParsedTopic | undefined>()

  /** Undefined when the topic is not one of the message's own device. */
  of({ deviceId, topic }: HandoverMessage): ParsedTopic['kind'] | undefined {
    let parsed = this.#topics.get(topic)
    if (parsed === undefined) {
      parsed = parseTopic(topic)
      this.#topics.set(topic, parsed)
    }
    return parsed !== undefined && 'deviceId' in parsed && parsed.deviceId === deviceId
      ? parsed.kind
      : undefined
  }
}

function readReadings(message: HandoverMessage): Arrival {
  // As latin1: exact for ASCII, which is all the contract allows, and cheaper; what is not ASCII ends in a fault below.
  const envelope = parseReadingsMessage(bufferOf(message.payload).toString('latin1'))
  if (typeof envelope === 'string') {
    const reason = isUtf8(message.payload) ? envelope : 'payload.unparsable'
    return { kind: 'unreadable', message, reason }
  }
  const { epoch, dropped, previous } = envelope
  try {
    const readings = envelope.readings.map((value) => readReading(value, epoch, message.receivedAtMs))
    return { kind: 'readings', message, epoch, readings, dropped, previous }
  } catch (error) {
    // Nested so deeply that it cannot be written as JSON again: set aside as it came.
    if (error instanceof RangeError) return { kind: 'unreadable', message, reason: 'payload.invalid' }
    throw error
  }
}

function readReading(value: unknown, epoch: Epoch | undefined, receivedAtMs: number): ArrivedReading {
  const fault = readingFault(value, receivedAtMs) ?? identityFault(value as Reading, epoch) // a Reading without a fault
  return fault === undefined
    ? { fault, reading: value as Reading } // as above
    : { fault, value, text: JSON.stringify(value) }
}

/** Epoch and sequence are one identity: half of it is none. */
function identityFault(reading: Reading, epoch: Epoch | undefined): ReadingFault | undefined {
  return (epoch === undefined) === (reading.seq === undefined) ? undefined : 'reading.type'
}

function readStatus(message: HandoverMessage): Arrival {
  const body = bufferOf(message.payload).toString('utf8')
  if (!isUtf8(message.payload) || !isJsonObject(body))
    return { kind: 'unreadable', message, reason: 'payload.unparsable' }
  return { kind: 'status', message, body }
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

/** The same bytes with the methods of a Buffer. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
