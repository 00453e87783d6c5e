/** The keeper of days of the crash proof: in the worker that is killed, and once more when all killing is over. */
import { createLog } from '../../core/runtime/log.ts'
import type { Archive } from '../../ingest/archive/archive.ts'
import { type DayKeeper, startDayKeeper } from '../../ingest/day-keeper.ts'
import type { Days } from '../../ingest/store/store.ts'
import { lateNowMs } from './crash-world.ts'

export function startCrashKeeper(options: { days: Days; archive: Archive; segmentsDir: string }): DayKeeper {
  return startDayKeeper({
    ...options,
    retentionDays: 30,
    closesAfterHours: 36,
    now: () => lateNowMs,
    log: createLog({ program: 'keeper', level: 'silent' }),
  })
}
