/** What the charts of a lot are drawn of: the answers of ingest as lines, gaps with their reasons, and notes. Pure. */
import type { CompletenessRow } from '../../core/contract/completeness.ts'
import type { Answer, ProfileRow, SeriesRow } from '../../core/contract/query.ts'
import { hourOfWeek } from './week.ts'
import { counted, number, parseTime } from './words.ts'

export interface Gap {
  readonly fromMs: number
  readonly toMs: number
  readonly reason: string
}

/** Something to know of a window: what of its readings was flagged or is not there. */
export interface Note {
  readonly fromMs: number
  readonly toMs: number
  readonly text: string
}

type Values = readonly (number | null)[]

export interface LotChart {
  readonly times: readonly number[]
  readonly means: Values
  readonly typicalLow: Values
  readonly typicalHigh: Values
  readonly gaps: readonly Gap[]
  readonly notes: readonly Note[]
  /** The notes of all windows, added up. */
  readonly remarks: readonly string[]
}

export function lotChartOf(
  answer: Answer<SeriesRow>,
  {
    week,
    completeness,
    good,
    capacity,
  }: {
    readonly week: readonly ProfileRow[]
    /** Of the same windows. */
    readonly completeness: readonly CompletenessRow[]
    /** Of the same windows, of readings without a flag that says something of their value; undefined: not asked. */
    readonly good: readonly SeriesRow[] | undefined
    readonly capacity: number | null
  },
): LotChart {
  const { rows } = answer
  const byHour = new Map(week.map((row) => [(row.weekday - 1) * 24 + row.hour, row]))
  // A day has no typical hour.
  const isCoarse = /[dw]$/.test(answer.resolution ?? '')
  const typical = rows.map(({ start }) => (isCoarse ? undefined : byHour.get(hourOfWeek(start))))
  return {
    times: rows.map(startOf),
    means: rows.map(({ mean }) => mean ?? null),
    typicalLow: typical.map((hour) => hour?.p10 ?? null),
    typicalHigh: typical.map((hour) => hour?.p90 ?? null),
    gaps: gapsOf(answer),
    ...notesOf(rows, { completeness, good, capacity }),
  }
}

/** Cars that came and went in each window; undefined: no device of the lot counts them. */
export function flowsOf(
  { rows }: Answer<SeriesRow>,
  times: readonly number[],
): { readonly entries: Values; readonly exits: Values } | undefined {
  if (rows.every(({ sum }) => sum === null || sum === undefined)) return undefined
  const valuesOf = (metric: 'entries' | 'exits') => {
    const known = new Map(
      rows.filter((row) => row.metric === metric).map((row) => [startOf(row), row.sum ?? null]),
    )
    return times.map((atMs) => known.get(atMs) ?? null)
  }
  return { entries: valuesOf('entries'), exits: valuesOf('exits') }
}

/** Runs of windows without a value, after the first that has one, each with the reason that ingest gives for its time. */
export function gapsOf({ rows, gaps: reasons }: Answer<SeriesRow>): Gap[] {
  const gaps: Gap[] = []
  const first = rows.findIndex(({ mean }) => mean !== null && mean !== undefined)
  if (first < 0) return gaps
  for (const row of rows.slice(first)) {
    if (row.mean !== null && row.mean !== undefined) continue
    const [fromMs, toMs] = [startOf(row), parseTime(row.end) ?? 0]
    const known = reasons.find(
      ({ from, to }) => (parseTime(from) ?? toMs) < toMs && (parseTime(to) ?? fromMs) > fromMs,
    )
    const reason = known?.reason.replaceAll('_', ' ') ?? 'nothing came'
    const before = gaps.at(-1)
    if (before !== undefined && before.toMs === fromMs && before.reason === reason)
      gaps[gaps.length - 1] = { ...before, toMs }
    else gaps.push({ fromMs, toMs, reason })
  }
  return gaps
}

const noted = [
  ['silent', 'with a silent sensor'],
  ['missing', 'missing'],
  ['dropped', 'let go of by the device'],
  ['quarantined', 'in quarantine'],
  ['late', 'over an hour late'],
] as const satisfies readonly (readonly [keyof CompletenessRow, string])[]

const flagged = 'flagged as stuck, unsynced or above the capacity'

function notesOf(
  rows: readonly SeriesRow[],
  {
    completeness,
    good,
    capacity,
  }: Pick<Parameters<typeof lotChartOf>[1], 'completeness' | 'good' | 'capacity'>,
): Pick<LotChart, 'notes' | 'remarks'> {
  const accounts = new Map(completeness.map((row) => [startOf(row), row]))
  const goodCounts = new Map(good?.map((row) => [startOf(row), row.count ?? 0]))
  const totals = new Map<string, number>()
  let above = 0
  const notes = rows.flatMap((row): Note[] => {
    const atMs = startOf(row)
    const counts = noted.map(([name, text]) => [accounts.get(atMs)?.[name] ?? 0, text] as const)
    const goodCount = goodCounts.get(atMs)
    const words = [
      ...counts,
      [goodCount === undefined ? 0 : (row.count ?? 0) - goodCount, flagged] as const,
    ].flatMap(([count, text]) => {
      if (count <= 0) return []
      totals.set(text, (totals.get(text) ?? 0) + count)
      return [`${number(count)} ${text}`]
    })
    if (capacity !== null && (row.max ?? 0) > capacity) {
      above++
      words.push(`${number(row.max)} taken, above the capacity`)
    }
    if (words.length === 0) return []
    return [{ fromMs: startOf(row), toMs: parseTime(row.end) ?? startOf(row), text: words.join(', ') }]
  })
  const remarks = [...totals].map(([text, count]) => `${counted(count, 'reading')} ${text}`)
  if (above > 0) remarks.push(`more taken than there are spaces in ${counted(above, 'window')}`)
  return { notes, remarks }
}

export function summaryOf({ rows, complete, gaps }: Answer<SeriesRow>, holes: number): string {
  const means = rows.flatMap(({ mean }) => (mean === null || mean === undefined ? [] : [mean]))
  if (means.length === 0) return 'Nothing was measured in this range.'
  const range = `Between ${number(Math.min(...means))} and ${number(Math.max(...rows.map(({ max }) => max ?? 0)))} taken.`
  // Without a schedule nobody knows whether anything was due in a gap.
  const missing = complete
    ? `No reading is ${holes === 0 ? '' : 'known to be '}missing.`
    : `${counted(gaps.length, 'run')} of readings missing: see Quality.`
  return holes === 0 ? `${range} ${missing}` : `${range} ${missing} ${counted(holes, 'gap')} shaded.`
}

function startOf({ start }: { readonly start: string }): number {
  return parseTime(start) ?? 0
}
