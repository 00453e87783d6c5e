/** What the processes of the crash proof send, computed from a number: whoever checks them computes it again. */
import type { SentMessage } from './handover.ts'

export const crashDevices = ['a', 'b', 'c']
const dayMs = 86_400_000
const startMs = Date.UTC(2015, 2, 1)
/** When all of it is long over, and before any file was written: none is swept while somebody may read it. */
export const lateNowMs = startMs + 3000 * dayMs
export const readingsPerMessage = 40
const epoch = '9f0c3a77d1e2b465'

export interface SentReading {
  readonly seq: number
  readonly timestampMs: number
  readonly occupied: number
}

/** Handovers of one day before another has its turn. */
const handoversPerTurn = 12
/** A new day, and then one of some turns ago: it is closed, on its way out of the table, or gone from it. */
export const handoversPerRound = 2 * handoversPerTurn
const lateDays = 2

/** Days up to a handover, the last one not included. */
export function daysUntil(handover: number): { fromMs: number; toMs: number } {
  const days = Math.floor(handover / handoversPerRound) + 1
  return { fromMs: startMs - lateDays * dayMs, toMs: startMs + days * dayMs }
}

export function readingsOf(handover: number, device: number): SentReading[] {
  const turn = Math.floor(handover / handoversPerTurn)
  const isLate = turn % 2 === 1
  const day = Math.floor(turn / 2) - (isLate ? lateDays : 0)
  const place = (handover % handoversPerTurn) + (isLate ? handoversPerTurn : 0)
  return Array.from({ length: readingsPerMessage }, (_, i) => ({
    seq: handover * readingsPerMessage + i,
    timestampMs: startMs + day * dayMs + (place * readingsPerMessage + i) * 500,
    occupied: (handover * 31 + i * 7 + device) % 500,
  }))
}

export function handoverNumber(handover: number): SentMessage[] {
  return crashDevices.map((deviceId, device) => ({
    deviceId,
    receivedAtMs: lateNowMs - dayMs,
    payload: { v: 1, epoch, readings: readingsOf(handover, device) },
  }))
}
