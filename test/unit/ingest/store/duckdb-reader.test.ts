import { expect, test } from 'vitest'
import type { DeviceId } from '../../../../core/contract/device.ts'
import { DayBook } from '../../../../ingest/store/day-book.ts'
import { Names } from '../../../../ingest/store/duckdb-names.ts'
import { createDuckDBReader } from '../../../../ingest/store/duckdb-reader.ts'
import { QuarterSums } from '../../../../ingest/store/quarter-sums.ts'

test('looks up many instants far apart with few questions', async () => {
  const questions: string[] = []
  const ask = async (sql: string) => {
    questions.push(sql)
    return []
  }
  const reader = createDuckDBReader(ask, {
    names: new Names(),
    book: new DayBook([], []),
    sums: new QuarterSums({ daysMax: 0, devicesMax: 0 }),
    segmentFile: () => Promise.reject(new Error('there is none')),
  })

  await reader.lookup(
    Array.from({ length: 500 }, (_, i) => ({ deviceId: 'a' as DeviceId, timestampMs: i * 7 * 3600_000 })),
  )

  expect(questions.length).toBeLessThanOrEqual(16)
})
