/** What the processes of the crash proof send, computed from a number: whoever checks them computes it again. */
import type { SentMessage } from './handover.ts'

export const crashDevices = ['a', 'b', 'c']
export const crashDayCount = 4
const dayMs = 86_400_000
export const firstMs = Date.UTC(2025, 2, 1)
/** When all of it is long over. */
export const lateNowMs = firstMs + 400 * dayMs
export const readingsPerMessage = 40
const epoch = '9f0c3a77d1e2b465'

export interface SentReading {
  readonly seq: number
  readonly timestampMs: number
  readonly occupied: number
}

/** Handovers of one day before the next has its turn: so most days are quiet, and what comes is late for one that may be closing. */
const handoversPerTurn = 12
export const handoversPerRound = handoversPerTurn * crashDayCount

export function readingsOf(handover: number, device: number): SentReading[] {
  const day = Math.floor(handover / handoversPerTurn) % crashDayCount
  const turn = Math.floor(handover / handoversPerRound) * handoversPerTurn + (handover % handoversPerTurn)
  return Array.from({ length: readingsPerMessage }, (_, i) => ({
    seq: handover * readingsPerMessage + i,
    timestampMs: firstMs + day * dayMs + (turn * readingsPerMessage + i) * 500,
    occupied: (handover * 31 + i * 7 + device) % 500,
  }))
}

export function handoverNumber(handover: number): SentMessage[] {
  return crashDevices.map((deviceId, device) => ({
    deviceId,
    receivedAtMs: firstMs + 10 * dayMs,
    payload: { v: 1, epoch, readings: readingsOf(handover, device) },
  }))
}
