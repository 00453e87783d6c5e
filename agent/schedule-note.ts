/** Since when the device counts by the schedule it has: a note beside the outbox, which outlives restarts. */
import type { Static } from 'typebox'
import { StatusMessage } from '../core/contract/status.ts'
import { readKept, writeKept } from './kept-file.ts'

const ScheduleNote = StatusMessage.properties.schedule
export type ScheduleNote = Static<typeof ScheduleNote>

/** @returns what is noted, which is written when the schedule is another one than before */
export function noteSchedule(outboxDir: string, cron: string, nowMs: number): ScheduleNote {
  const path = `${outboxDir}.schedule.json`
  const noted = readKept(path, ScheduleNote)
  if (noted?.cron === cron) return noted
  const note = { cron, sinceMs: nowMs }
  writeKept(path, note)
  return note
}
