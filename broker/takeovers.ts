/**
 * How often connections take one identity from each other. Now and then is a device that comes back before its old
 * socket is known to be dead; again and again is two machines with one credential. Pure.
 */
import type { DeviceId } from '../core/contract/device.ts'

export interface TakeoverLimits {
  /** Takeovers of one identity within a minute that are nobody's fault. */
  readonly perMinuteMax: number
  /** How long an identity is held after more than that. */
  readonly holdMs: number
}

export const takeoverLimits: TakeoverLimits = { perMinuteMax: 5, holdMs: 60_000 }

const minuteMs = 60_000

export class Takeovers {
  readonly #limits: TakeoverLimits
  /** Moments of the last minute's takeovers, oldest first: never more than the limit and one. */
  readonly #moments = new Map<DeviceId, number[]>()
  readonly #heldUntilMs = new Map<DeviceId, number>()

  constructor(limits: TakeoverLimits = takeoverLimits) {
    this.#limits = limits
  }

  isHeld(deviceId: DeviceId, nowMs: number): boolean {
    return (this.#heldUntilMs.get(deviceId) ?? 0) > nowMs
  }

  /** Notes a takeover. @returns whether it was one too many: the identity is held from now on */
  note(deviceId: DeviceId, nowMs: number): boolean {
    const recent = (this.#moments.get(deviceId) ?? []).filter((atMs) => atMs > nowMs - minuteMs)
    recent.push(nowMs)
    if (recent.length <= this.#limits.perMinuteMax) {
      this.#moments.set(deviceId, recent)
      return false
    }
    this.#moments.delete(deviceId)
    this.#heldUntilMs.set(deviceId, nowMs + this.#limits.holdMs)
    return true
  }

  /** Another broker has found that connections fight over it. */
  hold(deviceId: DeviceId, untilMs: number): void {
    this.#moments.delete(deviceId)
    this.#heldUntilMs.set(deviceId, Math.max(untilMs, this.#heldUntilMs.get(deviceId) ?? 0))
  }

  /** Forgets what bears on nothing any more. */
  sweep(nowMs: number): void {
    for (const [deviceId, untilMs] of this.#heldUntilMs)
      if (untilMs <= nowMs) this.#heldUntilMs.delete(deviceId)
    for (const [deviceId, moments] of this.#moments)
      if ((moments.at(-1) ?? 0) <= nowMs - minuteMs) this.#moments.delete(deviceId)
  }
}
