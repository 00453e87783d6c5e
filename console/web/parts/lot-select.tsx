/** A choice among the lots there are. */
import type { Answer, LotRow } from '../../../core/contract/query.ts'
import { useApp } from '../app-state.ts'
import { useLoad } from '../load.ts'

export function LotSelect({
  value,
  none,
  required = false,
  choose,
}: {
  /** An identifier; empty for none. */
  value: string
  /** What it says as long as none is chosen. */
  none: string
  required?: boolean
  choose: (lotId: string) => void
}) {
  const { api } = useApp()
  const lots = useLoad('lots', (signal) => api.get<Answer<LotRow>>('/api/ingest/v1/lots', { signal }))
  return (
    <select required={required} value={value} onChange={(event) => choose(event.currentTarget.value)}>
      <option value="">{none}</option>
      {(lots.value?.rows ?? []).map((lot) => (
        <option key={lot.lotId} value={lot.lotId}>
          {lot.name}
        </option>
      ))}
    </select>
  )
}
