/**
 * Which devices show the same value for too long: longer than any device of their lot has in the four weeks before, and
 * over an hour, of the time in which the lot is open. Runs are made of whole hours. A lot that has not been known for a
 * week is not judged: its nights and its Sundays have not been seen. Pure.
 */
import type { DeviceId, LotId } from '../core/contract/device.ts'

const hourMs = 3600_000
const historyMs = 28 * 24 * hourMs
const knownMs = 7 * 24 * hourMs

/** An hour of a device; `value` undefined: it showed several values, or its sensor was silent. */
export interface HourOfDevice {
  readonly deviceId: DeviceId
  readonly fromMs: number
  /** How much of it the lot is open. */
  readonly openMs: number
  readonly value: number | undefined
}

interface Run {
  readonly value: number
  readonly fromMs: number
  toMs: number
  /** How much of it the lot was open. */
  openMs: number
}

interface WatchedLot {
  /** Its first hour that is known. */
  readonly sinceMs: number
  readonly running: Map<DeviceId, Run>
  /** Runs that have ended, those of the past four weeks. */
  ended: Run[]
}

interface StuckSpan {
  readonly run: Run
  readonly lot: WatchedLot
  /** The hour in which it had lasted too long. */
  readonly fromMs: number
  toMs: number
}

export class StuckWatch {
  readonly #lots = new Map<LotId, WatchedLot>()
  /** By device, in order; `toMs` exclusive. */
  readonly #spans = new Map<DeviceId, StuckSpan[]>()

  isStuck(deviceId: DeviceId, timestampMs: number): boolean {
    return (this.#spans.get(deviceId) ?? []).some(
      ({ fromMs, toMs }) => fromMs <= timestampMs && timestampMs < toMs,
    )
  }

  /** @param hours of the devices of a lot, after those of before; hours without any reading are left out */
  feed(lotId: LotId, hours: readonly HourOfDevice[]): void {
    for (const hour of hours.toSorted((a, b) => a.fromMs - b.fromMs)) {
      let lot = this.#lots.get(lotId)
      if (lot === undefined) {
        lot = { sinceMs: hour.fromMs, running: new Map(), ended: [] }
        this.#lots.set(lotId, lot)
      }
      this.#hour(lot, hour)
    }
  }

  /** Nothing is said of what is older. */
  forget(beforeMs: number): void {
    this.#keep(({ toMs }) => toMs > beforeMs)
  }

  /** What was fed of a lot is forgotten, and what was found: its hours are fed anew, since it is open at other times. */
  drop(lotId: LotId): void {
    const dropped = this.#lots.get(lotId)
    this.#lots.delete(lotId)
    this.#keep(({ lot }) => lot !== dropped)
  }

  #keep(isKept: (span: StuckSpan) => boolean): void {
    for (const [deviceId, spans] of this.#spans) {
      const kept = spans.filter(isKept)
      if (kept.length === 0) this.#spans.delete(deviceId)
      else this.#spans.set(deviceId, kept)
    }
  }

  #hour(lot: WatchedLot, { deviceId, fromMs, openMs, value }: HourOfDevice): void {
    const run = lot.running.get(deviceId)
    // One hour may be missing: some devices speak once an hour.
    if (run !== undefined && run.value === value && fromMs - run.toMs <= hourMs) {
      run.toMs = fromMs + hourMs
      run.openMs += openMs
      this.#judge(lot, deviceId, run)
      return
    }
    if (run !== undefined) {
      lot.ended = lot.ended.filter(({ toMs }) => toMs > fromMs - 2 * historyMs)
      lot.ended.push(run)
      lot.running.delete(deviceId)
    }
    if (value !== undefined) lot.running.set(deviceId, { value, fromMs, toMs: fromMs + hourMs, openMs })
  }

  #judge(lot: WatchedLot, deviceId: DeviceId, run: Run): void {
    if (run.fromMs - lot.sinceMs < knownMs) return
    const past = lot.ended.filter(({ toMs }) => toMs > run.fromMs - historyMs)
    const longestMs = past.reduce((longest, { openMs }) => Math.max(longest, openMs), hourMs)
    if (run.openMs <= longestMs) return
    const spans = this.#spans.get(deviceId) ?? []
    const known = spans.find((span) => span.run === run)
    if (known !== undefined) known.toMs = run.toMs
    else this.#spans.set(deviceId, [...spans, { run, lot, fromMs: run.toMs - hourMs, toMs: run.toMs }])
  }
}
