/**
 * The analysts' verbs: a question to ingest, and its answer as a table, for a program, or in a file. What is missing is said
 * on standard error.
 */
import type { CompletenessRow, Gap, Reasons } from '../core/contract/completeness.ts'
import { FleetError } from '../core/contract/errors.ts'
import type {
  Answer,
  DeviceRow,
  HealthRow,
  LatestRow,
  LotRow,
  ProfileRow,
  QuarantineRow,
  ReadingRow,
  SeriesRow,
} from '../core/contract/query.ts'
import { type Api, type ApiRequest, piecesOf } from '../core/runtime/fetch.ts'
import { receiveFile } from '../core/runtime/receive-file.ts'
import type { Voice } from './home.ts'
import { age, type Column, dash, ndjson, outputs, table } from './output.ts'

/** What a question can be printed as, or written to a file. */
export const questionOutputs = [...outputs, 'csv-excel', 'parquet'] as const
export type QuestionOutput = (typeof questionOutputs)[number]

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

const completeness: readonly Column<CompletenessRow>[] = [
  { head: 'lot', cell: (row) => row.lotId },
  { head: 'start', cell: (row) => row.start },
  { head: 'expected', cell: (row) => row.expected, align: 'right' },
  { head: 'received', cell: (row) => row.received, align: 'right' },
  { head: 'missing', cell: (row) => row.missing, align: 'right' },
  { head: 'late', cell: (row) => row.late, align: 'right' },
  { head: 'reasons', cell: (row) => reasonsText(row.reasons) },
]

const days = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']
const profile: readonly Column<ProfileRow>[] = [
  { head: 'lot', cell: (row) => row.lotId },
  { head: 'day', cell: (row) => days[row.weekday - 1] },
  { head: 'hour', cell: (row) => row.hour, align: 'right' },
  { head: 'p10', cell: (row) => rounded(row.p10), align: 'right' },
  { head: 'mean', cell: (row) => rounded(row.mean), align: 'right' },
  { head: 'p90', cell: (row) => rounded(row.p90), align: 'right' },
  { head: 'hours', cell: (row) => row.hours, align: 'right' },
]

const health: readonly Column<DeviceRow>[] = [
  { head: 'device', cell: (row) => row.deviceId },
  { head: 'state', cell: (row) => row.state.replace('_', ' ') },
  { head: 'lot', cell: (row) => row.lotId },
  { head: 'last seen', cell: (row) => row.lastSeen },
  { head: 'queue', cell: (row) => row.queueReadings, align: 'right' },
  { head: 'dropped', cell: (row) => row.dropped, align: 'right' },
  {
    head: 'clock',
    cell: (row) => (row.clockOffsetMs === null ? row.clock : `${row.clockOffsetMs} ms`),
    align: 'right',
  },
  { head: 'schedule', cell: (row) => row.schedule },
  {
    head: 'config',
    cell: (row) => (row.configVersion === null ? null : `${row.configVersion} ${row.configState}`),
  },
  { head: 'version', cell: (row) => row.version },
]

const history: readonly Column<HealthRow>[] = [
  { head: 'device', cell: (row) => row.deviceId },
  { head: 'start', cell: (row) => row.start },
  { head: 'state', cell: (row) => row.state?.replace('_', ' ') },
  {
    head: 'connected',
    cell: (row) => (row.connectedSec === null ? null : age(row.connectedSec)),
    align: 'right',
  },
  { head: 'expected', cell: (row) => row.expected, align: 'right' },
  { head: 'received', cell: (row) => row.received, align: 'right' },
  { head: 'missing', cell: (row) => row.missing, align: 'right' },
  { head: 'queue', cell: (row) => row.queueReadings, align: 'right' },
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
  const asked = (['mean', 'min', 'max', 'first', 'last', 'sum', 'p95', 'count'] as const).filter((name) =>
    rows.some((row) => name in row),
  )
  const has = (name: 'metric' | 'filled') => rows.some((row) => name in row)
  return [
    { head: 'lot', cell: (row) => row.lotId },
    { head: 'start', cell: (row) => row.start },
    ...(has('metric') ? [{ head: 'metric', cell: (row: SeriesRow) => row.metric }] : []),
    ...asked.map(
      (name): Column<SeriesRow> => ({ head: name, cell: (row) => rounded(row[name]), align: 'right' }),
    ),
    ...(has('filled')
      ? [{ head: 'filled', cell: (row: SeriesRow) => (row.filled === true ? 'yes' : '') }]
      : []),
  ]
}

export const verbs = {
  lots: verb<LotRow>('/v1/lots', () => lots),
  latest: verb<LatestRow>('/v1/latest', () => latest),
  series: verb<SeriesRow>('/v1/series', series),
  // A table or a document has an end: all there is goes to a file.
  readings: verb<ReadingRow>('/v1/readings', () => readings, { limit: 1000 }),
  completeness: verb<CompletenessRow>('/v1/completeness', () => completeness),
  profile: verb<ProfileRow>('/v1/profile', () => profile),
  health: verb<DeviceRow>('/v1/devices', () => health),
  history: verb<HealthRow>('/v1/devices/health', () => history),
  quarantine: verb<QuarantineRow>('/v1/quarantine', () => quarantine),
} as const

type Ask = (
  api: Api,
  options: { query: Query; output: QuestionOutput; file?: string; timeoutMs: number; voice: Voice },
) => Promise<void>

/** @param page what is asked for unless told otherwise, and unless it goes to a file */
function verb<Row>(
  path: string,
  columnsOf: (rows: readonly Row[]) => readonly Column<Row>[],
  page: Query = {},
): Ask {
  return async (api, { query, output, file, timeoutMs, voice }) => {
    if (file !== undefined || output === 'csv' || output === 'csv-excel' || output === 'parquet') {
      const format = output === 'table' ? 'csv' : output
      const whole = { query: { ...(file === undefined ? page : {}), ...query, format } }
      if (file === undefined && output === 'parquet')
        throw new FleetError('request.invalid', 'Parquet is for a file: say which with --file')
      const response = await api.response(path, {
        ...whole,
        timeoutMs: file === undefined ? timeoutMs : fileTimeoutMs,
      })
      if (file === undefined) voice.answer((await response.text()).replace(/\r?\n$/, ''))
      else await receiveFile(file, piecesOf(response), { appends: false })
      if (response.headers.get('lotwatch-complete') === 'false')
        voice.note('incomplete: devices took readings that the store does not have; -o json names the gaps')
      noteCursor(response.headers.get('lotwatch-next-cursor') ?? undefined, voice)
      return
    }
    const answer = await api.json<Answer<Row>>(path, { query: { ...page, ...query }, timeoutMs })
    if (output === 'json') voice.answer(JSON.stringify(answer, undefined, 2))
    else if (answer.rows.length > 0)
      voice.answer(output === 'ndjson' ? ndjson(answer.rows) : table(columnsOf(answer.rows), answer.rows))
    else voice.note('nothing there')
    noteGaps(answer, voice)
    noteCursor(answer.nextCursor, voice)
  }
}

/** A file may be long, and nobody waits for it at a terminal. */
const fileTimeoutMs = 24 * 3600_000

function reasonsText(reasons: Reasons): string {
  return Object.entries(reasons)
    .map(([reason, count]) => `${reason.replaceAll('_', ' ')} ${count}`)
    .join(', ')
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
