/**
 * Gives readings their time: at once when the time is known, and when it becomes known to those that were taken before.
 * It notes the time since boot at each tick, which nobody sets. How the time becomes known is `time-sync.ts`, which
 * stamp an instant gets is `stamps.ts`.
 */
import type { Boot } from './boot.ts'
import type { Clock } from './clock.ts'
import { datedRecord, type OutboxRecord, sinceOf, type Taken } from './outbox-record.ts'
import type { Observation } from './sensors/sensor.ts'
import { dateBoots, type SinceBoot, type StampState, stampAt } from './stamps.ts'
import type { TimeSync } from './time-sync.ts'

export interface TimekeeperParts {
  readonly clock: Pick<Clock, 'nowMs'>
  readonly boot: Pick<Boot, 'bootId' | 'sinceMs'>
  readonly sync: TimeSync
  /** Names the boot where the system does not, and so this process at least. */
  readonly bootName: string
  /** As they became durable. */
  readonly stamps: StampState
  /** The observations have a time of their own that is theirs to keep, as a recording's have. */
  readonly isRecorded: boolean
}

/** An observation of now, and when that is. */
export interface Sighted {
  readonly observation: Observation
  readonly sinceMs: number
  /** Its tick was of a clock that can be believed. */
  readonly isTimed: boolean
}

export interface Timekeeper {
  /** The ticks, each noted when it comes. */
  watch(ticks: AsyncIterable<number>): AsyncIterable<number>
  /** To be called for an observation before the next tick. */
  sighted(observation: Observation): Sighted
  /** The readings to keep, in order, and the stamps to keep with them. */
  stamp(sighted: readonly Sighted[]): { taken: Taken[]; stamps: StampState }
  /**
   * Stamps for undated readings, oldest first, as soon as the time is known.
   * @param lastOfBoots the last undated reading of each boot, oldest boot first
   */
  date(
    run: readonly OutboxRecord[],
    lastOfBoots: readonly SinceBoot[],
  ): { records: OutboxRecord[]; stamps: StampState }
}

export function createTimekeeper(parts: TimekeeperParts): Timekeeper {
  const { boot, clock, sync } = parts
  const name = boot.bootId ?? parts.bootName
  let stamps = parts.stamps
  let tick = { sinceMs: boot.sinceMs(), isTimed: sync.isSynced }

  function give(timestampMs: number): number {
    const given = stampAt(timestampMs, stamps)
    stamps = given.state
    return given.stampMs
  }
  const now = () => ({ boot: name, sinceMs: boot.sinceMs(), timestampMs: clock.nowMs() })

  return {
    async *watch(ticks) {
      for await (const tickMs of ticks) {
        tick = { sinceMs: boot.sinceMs(), isTimed: sync.isSynced }
        yield tickMs
      }
    },
    sighted: (observation) => ({ observation, ...tick }),
    stamp(sighted) {
      const { sinceMs: nowSinceMs, timestampMs: nowMs } = now()
      const taken = sighted.map(({ observation, sinceMs, isTimed }): Taken => {
        if (parts.isRecorded) return { observation, clock: 'synced' }
        if (!sync.isSynced) return { observation, clock: 'unsynced', since: { boot: name, sinceMs } }
        const timestampMs = give(isTimed ? observation.timestampMs : nowMs - (nowSinceMs - sinceMs))
        return { observation: { ...observation, timestampMs }, clock: 'synced' }
      })
      return { taken, stamps }
    },
    date(run, lastOfBoots) {
      const boots = dateBoots(lastOfBoots, now())
      const records = run.map((record) => {
        const since = sinceOf(record)
        const dated = since === undefined ? undefined : boots.get(since.boot)
        if (since === undefined || dated === undefined) return record
        return datedRecord(record, give(dated.atMs + since.sinceMs), dated.isExact ? 'synced' : 'unsynced')
      })
      return { records, stamps }
    },
  }
}
