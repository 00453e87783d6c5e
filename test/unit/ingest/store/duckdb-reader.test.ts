import { expect, test } from 'vitest'
import type { DeviceId } from '../../../../core/contract/device.ts'
import { Names } from '../../../../ingest/store/duckdb-names.ts'
import { createDuckDBReader } from '../../../../ingest/store/duckdb-reader.ts'

test('looks up many instants far apart with few questions', async () => {
  const questions: string[] = []
  const reader = createDuckDBReader(async (sql) => {
    questions.push(sql)
    return []
  }, new Names())

  await reader.lookup(
    Array.from({ length: 500 }, (_, i) => ({ deviceId: 'a' as DeviceId, timestampMs: i * 7 * 3600_000 })),
  )

  expect(questions.length).toBeLessThanOrEqual(16)
})
