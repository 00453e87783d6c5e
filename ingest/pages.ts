/**
 * All readings of a question, some at a time: an export of any length holds one page in memory, and the next is asked
 * for only when the last one has been taken. The question is cut into slices of time, since a store that is to sort
 * all of it to give its first rows would need all of it in memory; a slice grows or shrinks with what was in the last.
 */
import type { Instant, ReadingsQuestion, StoredReading, StoreReader } from './store/store.ts'

export const pageReadings = 10_000
const sliceMsFirst = 3600_000
const sliceMsMin = 60_000
const sliceMsMax = 100 * 86_400_000

export type EveryReading = Omit<ReadingsQuestion, 'limit' | 'after'>

export async function* pagesOf(
  store: Pick<StoreReader, 'readings'>,
  question: EveryReading,
  signal?: AbortSignal,
  pageMax = pageReadings,
): AsyncGenerator<readonly StoredReading[]> {
  const edge = async (order: 'asc' | 'desc') => {
    const [reading] = await store.readings({ ...question, order, limit: 1, after: undefined }, signal)
    return reading?.reading.timestampMs
  }
  const firstMs = await edge('asc')
  const lastMs = await edge('desc')
  if (firstMs === undefined || lastMs === undefined) return
  const isUp = question.order === 'asc'
  let sliceMs = sliceMsFirst
  let [fromMs, toMs] = [firstMs, lastMs + 1]
  while (fromMs < toMs) {
    const slice = isUp
      ? { fromMs, toMs: Math.min(toMs, fromMs + sliceMs) }
      : { fromMs: Math.max(fromMs, toMs - sliceMs), toMs }
    let count = 0
    let after: Instant | undefined
    for (let isMore = true; isMore; ) {
      const page = await store.readings({ ...question, ...slice, limit: pageMax, after }, signal)
      if (page.length > 0) yield page
      count += page.length
      const last = page.at(-1)
      isMore = page.length === pageMax && last !== undefined
      after = last && { deviceId: last.deviceId, timestampMs: last.reading.timestampMs }
    }
    if (isUp) fromMs = slice.toMs
    else toMs = slice.fromMs
    if (count < pageMax / 2) sliceMs = Math.min(sliceMsMax, sliceMs * 2)
    else if (count > pageMax * 4) sliceMs = Math.max(sliceMsMin, sliceMs / 2)
  }
}
