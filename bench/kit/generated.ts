/**
 * The readings of the store's benchmarks: 1,000 devices at one a minute, each value a function of device and minute, so
 * that every answer can be told by plain arithmetic. A batch is one minute of all devices; the backlog is what twenty of
 * them send after a year without a network, twenty places of that year in every batch.
 */
import type { DeviceId, Epoch } from '../../core/contract/device.ts'
import { frameBytes, frameHead, writeFrame } from '../../core/contract/handover.ts'
import type { Assignment, Lot } from '../../core/contract/registry.ts'
import { readingLine } from '../../ingest/store/influx-points.ts'
import type { StoredReading } from '../../ingest/store/store.ts'

export const deviceCount = 1000
export const minuteMs = 60_000
export const dayMs = 24 * 3600_000
const capacity = 400
const credentialId = 'cred-bench'
const freshEpoch = '00000000000000f1' as Epoch // of the grammar
const backlogEpoch = '00000000000000b1' as Epoch // of the grammar
export const backlogDevices = 20
const backlogPerMessage = deviceCount / backlogDevices
const yearMs = 365 * dayMs

export const deviceIdOf = (device: number) => `bench-${String(device).padStart(4, '0')}` as DeviceId // of the grammar
export const lotIdOf = (device: number) => `lot-${String(device).padStart(4, '0')}`

/** Places taken: a tide over the day, another for each device, with cars that come and go every few minutes. */
export function occupiedOf(device: number, minute: number): number {
  const at = (((minute + device * 7) % 1440) + 1440) % 1440
  const tide = Math.floor(((at < 720 ? at : 1440 - at) * 300) / 720)
  return tide + (Math.imul(device * 8191 + (minute >> 2), 0x9e3779b1) >>> 27)
}

/** How long a reading was on its way. */
function delayOf(device: number, minute: number): number {
  return 200 + (Math.imul(device + minute * deviceCount, 0x85ebca6b) >>> 21)
}

/** A batch: its readings, message by message. */
export type Batch = readonly (readonly StoredReading[])[]

function stored(
  device: number,
  minute: number,
  timestampMs: number,
  at: { seq: number; epoch: Epoch; receivedAtMs: number },
): StoredReading {
  return {
    deviceId: deviceIdOf(device),
    credentialId,
    receivedAtMs: at.receivedAtMs,
    epoch: at.epoch,
    reading: { seq: at.seq, timestampMs, occupied: occupiedOf(device, minute), capacity },
  }
}

export function freshBatch(startMs: number, minute: number): Batch {
  const timestampMs = startMs + minute * minuteMs
  return Array.from({ length: deviceCount }, (_, device) => [
    stored(device, minute, timestampMs, {
      seq: minute,
      epoch: freshEpoch,
      receivedAtMs: timestampMs + delayOf(device, minute),
    }),
  ])
}

/** Of the year before `startMs`; it comes in at `receivedAtMs`. */
export function backlogBatch(startMs: number, number: number, receivedAtMs: number): Batch {
  return Array.from({ length: backlogDevices }, (_, device) => {
    const placeMs = startMs - yearMs + Math.floor((device * yearMs) / backlogDevices)
    return Array.from({ length: backlogPerMessage }, (__, i) => {
      const position = number * backlogPerMessage + i
      const timestampMs = placeMs + position * minuteMs
      const minute = Math.floor((timestampMs - startMs) / minuteMs)
      return stored(device, minute, timestampMs, { seq: position, epoch: backlogEpoch, receivedAtMs })
    })
  })
}

/** As a broker hands it over. */
export function handoverBody(batch: Batch): Uint8Array<ArrayBuffer> {
  const frames = batch.map((message) => {
    const [first] = message
    if (first === undefined) throw new Error('a message without readings')
    const { deviceId, epoch, receivedAtMs } = first
    const payload = Buffer.from(
      JSON.stringify({ v: 1, epoch, readings: message.map(({ reading }) => reading) }),
    )
    return {
      head: frameHead({ deviceId, credentialId, topic: `devices/${deviceId}/readings` }),
      receivedAtMs,
      payload,
    }
  })
  const body = new Uint8Array(frames.reduce((sum, { head, payload }) => sum + frameBytes(head, payload), 0))
  const view = new DataView(body.buffer)
  let offset = 0
  for (const frame of frames) offset = writeFrame(body, view, offset, frame)
  return body
}

/** As our own adapter writes it: the same content. */
export function linesBody(batch: Batch): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(batch.flat().map(readingLine).join('\n'))
}

/** Each device counts for a lot of its own, for ever. */
export function places(): { lots: Lot[]; assignments: Assignment[] } {
  const devices = Array.from({ length: deviceCount }, (_, device) => device)
  return {
    lots: devices.map((device) => ({
      lotId: lotIdOf(device),
      name: `Lot ${device}`,
      capacities: [{ fromMs: 0, capacity }],
    })),
    assignments: devices.map((device) => ({
      deviceId: deviceIdOf(device),
      lotId: lotIdOf(device),
      fromMs: 0,
      toMs: null,
    })),
  }
}

/** The mean of a device in a window, of the minutes that were written; null where there are none. */
export function meanOf(device: number, fromMinute: number, toMinute: number, minutes: number): number | null {
  const [from, to] = [Math.max(0, fromMinute), Math.min(minutes, toMinute)]
  if (to <= from) return null
  let sum = 0
  for (let minute = from; minute < to; minute++) sum += occupiedOf(device, minute)
  return sum / (to - from)
}
