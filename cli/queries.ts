/** The analysts' verbs: a question to ingest, and its answer as a table or for a program. What is missing is said on standard error. */
import type { Gap } from '../core/contract/completeness.ts'
import type {
  Answer,
  LatestRow,
  LotRow,
  QuarantineRow,
  ReadingRow,
  SeriesRow,
} from '../core/contract/query.ts'
import type { Api, ApiRequest } from '../core/runtime/fetch.ts'
import type { Voice } from './home.ts'
import { age, type Column, dash, ndjson, type Output, table } from './output.ts'

export type Query = NonNullable<ApiRequest['query']>

const lots: readonly Column<LotRow>[] = [
  { head: 'lot', cell: (row) => row.lotId },
  { head: 'name', cell: (row) => row.name },
  { head: 'capacity', cell: (row) => row.capacity, align: 'right' },
  { head: 'zone', cell: (row) => row.zone },
  { head: 'devices', cell: (row) => (row.devices.length === 0 ? null : row.devices.join(' ')) },
]

const latest: readonly Column<LatestRow>[] = [
  { head: 'lot', cell: (row) => row.lotId },
  { head: 'name', cell: (row) => row.name },
  { head: 'state', cell: (row) => row.state },
  { head: 'occupied', cell: occupiedNow, align: 'right' },
  { head: 'free', cell: (row) => row.free, align: 'right' },
  { head: 'capacity', cell: (row) => row.capacity, align: 'right' },
  { head: 'age', cell: (row) => (row.ageSec === null ? null : age(row.ageSec)), align: 'right' },
]

const readings: readonly Column<ReadingRow>[] = [
  { head: 'time', cell: (row) => row.time },
  { head: 'device', cell: (row) => row.deviceId },
  { head: 'lot', cell: (row) => row.lotId },
  { head: 'occupied', cell: (row) => row.occupied, align: 'right' },
  { head: 'capacity', cell: (row) => row.capacity, align: 'right' },
  { head: 'flags', cell: (row) => (row.flags.length === 0 ? '' : row.flags.join(' ')) },
]

const quarantine: readonly Column<QuarantineRow>[] = [
  { head: 'received', cell: (row) => row.receivedAt },
  { head: 'device', cell: (row) => row.deviceId },
  { head: 'reason', cell: (row) => row.reason },
  { head: 'times', cell: (row) => row.count, align: 'right' },
  { head: 'content', cell: (row) => (row.content === null ? null : shortened(row.content)) },
]

/** Only the aggregates that were asked for have a column. */
function series(rows: readonly SeriesRow[]): readonly Column<SeriesRow>[] {
  const asked = (['mean', 'min', 'max', 'first', 'last', 'count'] as const).filter((name) =>
    rows.some((row) => name in row),
  )
  return [
    { head: 'lot', cell: (row) => row.lotId },
    { head: 'start', cell: (row) => row.start },
    ...asked.map(
      (name): Column<SeriesRow> => ({ head: name, cell: (row) => rounded(row[name]), align: 'right' }),
    ),
  ]
}

export const verbs = {
  lots: verb<LotRow>('/v1/lots', () => lots),
  latest: verb<LatestRow>('/v1/latest', () => latest),
  series: verb<SeriesRow>('/v1/series', series),
  readings: verb<ReadingRow>('/v1/readings', () => readings),
  quarantine: verb<QuarantineRow>('/v1/quarantine', () => quarantine),
} as const

type Ask = (
  api: Api,
  options: { query: Query; output: Output; timeoutMs: number; voice: Voice },
) => Promise<void>

function verb<Row>(path: string, columnsOf: (rows: readonly Row[]) => readonly Column<Row>[]): Ask {
  return async (api, { query, output, timeoutMs, voice }) => {
    if (output === 'csv') {
      const response = await api.response(path, { query: { ...query, format: 'csv' }, timeoutMs })
      voice.answer((await response.text()).replace(/\r?\n$/, ''))
      if (response.headers.get('lotwatch-complete') === 'false')
        voice.note('incomplete: devices took readings that the store does not have; -o json names the gaps')
      noteCursor(response.headers.get('lotwatch-next-cursor') ?? undefined, voice)
      return
    }
    const answer = await api.json<Answer<Row>>(path, { query, timeoutMs })
    if (output === 'json') voice.answer(JSON.stringify(answer, undefined, 2))
    else if (answer.rows.length > 0)
      voice.answer(output === 'ndjson' ? ndjson(answer.rows) : table(columnsOf(answer.rows), answer.rows))
    else voice.note('nothing there')
    noteGaps(answer, voice)
    noteCursor(answer.nextCursor, voice)
  }
}

function noteGaps(answer: Answer<unknown>, voice: Voice): void {
  if (answer.complete) return
  const shownMax = 5
  const shown = answer.gaps.slice(0, shownMax).map(gapText)
  const more = answer.gaps.length > shownMax ? `, and ${answer.gaps.length - shownMax} more` : ''
  voice.note(`incomplete: ${shown.join(', ')}${more}`)
}

function gapText({ deviceId, readings, reason, detail, from }: Gap): string {
  const many = readings === null ? '' : ` ${readings} missing`
  const since = from === null ? '' : ` from ${from}`
  return `${deviceId}${many}${since} (${detail ?? reason})`
}

function noteCursor(cursor: string | undefined, voice: Voice): void {
  if (cursor !== undefined) voice.note(`there is more: --cursor ${cursor}`)
}

/** What was last known stands in brackets when it is not known to hold. */
function occupiedNow(row: LatestRow): string | number {
  if (row.occupied !== null) return row.occupied
  return row.lastOccupied === null ? dash : `${dash} (last ${row.lastOccupied})`
}

function rounded(value: number | null | undefined): number | null | undefined {
  return typeof value === 'number' ? Math.round(value * 10) / 10 : value
}

function shortened(text: string): string {
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}
