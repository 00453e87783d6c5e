/** One lot: how full it is and was over any range, against its typical week; what is missing, and how to get at it all. */
import { useMemo } from 'preact/hooks'
import { useLocation, useRoute } from 'preact-iso'
import type { Answer, LatestRow, LotRow, ProfileRow, SeriesRow } from '../../../core/contract/query.ts'
import { mayAs, useApp } from '../app-state.ts'
import { useLive } from '../live.ts'
import { useLoad, useNow } from '../load.ts'
import { localZone, lotStates } from '../lots.ts'
import { useParameters } from '../parameters.ts'
import { ExportBox } from '../parts/export-box.tsx'
import { Chips } from '../parts/form.tsx'
import { Head } from '../parts/head.tsx'
import { HeatMap } from '../parts/heat-map.tsx'
import { type Gap, LineChart } from '../parts/line-chart.tsx'
import { Badge, Empty, Fault, Waiting } from '../parts/notices.tsx'
import { OccupancyBar } from '../parts/occupancy.tsx'
import { rangeOf, ranges } from '../ranges.ts'
import { hourOfWeek } from '../week.ts'
import { ago, counted, number, parseTime } from '../words.ts'

const weeks = 4
const nothing: readonly ProfileRow[] = []

export function LotPage() {
  const { api, me } = useApp()
  const lotId = useRoute().params.lotId ?? ''
  const { path } = useLocation()
  const [parameters, setParameters] = useParameters()
  const range = rangeOf(parameters.range)
  const head = useLoad(
    `lot ${lotId}`,
    async (signal) => {
      const lots = await api.get<Answer<LotRow>>('/api/ingest/v1/lots', { signal })
      const lot = lots.rows.find((row) => row.lotId === lotId)
      if (lot === undefined) return { lot, latest: undefined }
      const query = { lot: lotId }
      const latest = await api.get<Answer<LatestRow>>('/api/ingest/v1/latest', { query, signal })
      return { lot, latest: latest.rows[0] }
    },
    { everyMs: 15_000 },
  )
  const zone = head.value?.lot?.zone ?? localZone
  const hasLot = head.value?.lot !== undefined
  const ask = (more: Record<string, string>, signal: AbortSignal) =>
    api.get<Answer<SeriesRow>>('/api/ingest/v1/series', { query: { lot: lotId, tz: zone, ...more }, signal })
  const series = useLoad(
    hasLot ? `series ${path} ${range.value} ${zone}` : undefined,
    (signal) => ask({ from: range.value, every: range.every, agg: 'mean,max,count' }, signal),
    { everyMs: 60_000 },
  )
  const history = useLoad(hasLot ? `week ${path} ${zone}` : undefined, (signal) =>
    api.get<Answer<ProfileRow>>('/api/ingest/v1/profile', {
      query: { lot: lotId, from: `-${weeks * 7}d`, tz: zone },
      signal,
    }),
  )
  const week = history.value?.rows ?? nothing
  useLive(hasLot ? { lot: lotId } : undefined, () => {
    void head.reload()
    if (range.value === '-6h') void series.reload()
  })
  const nowMs = useNow()
  const chart = useMemo(
    () => (series.value === undefined ? undefined : chartOf(series.value, week, range.every)),
    [series.value, week, range.every],
  )

  if (head.value !== undefined && head.value.lot === undefined)
    return (
      <>
        <Head title={lotId} />
        <Empty title={`There is no lot ${lotId}`}>
          <a class="button" href="/lots">
            All lots
          </a>
        </Empty>
      </>
    )
  const { lot, latest } = head.value ?? {}
  const capacity = latest?.capacity ?? lot?.capacity ?? null
  return (
    <>
      <Head title={lot?.name ?? lotId} about={lot === undefined ? undefined : aboutOf(lot, zone)}>
        {mayAs(me, 'operator') && (
          <a class="button" href={`/devices?lot=${encodeURIComponent(lotId)}`}>
            Its devices
          </a>
        )}
      </Head>
      <div class="stack">
        <Fault problem={head.problem ?? series.problem} retry={head.reload} />
        {latest !== undefined && <Standing latest={latest} nowMs={nowMs} />}
        <Chips
          label="Range"
          options={ranges}
          chosen={range.value}
          choose={(value) => setParameters({ range: value })}
        />
        {chart === undefined && series.problem === undefined && <Waiting what="readings" />}
        {chart !== undefined && series.value !== undefined && (
          <>
            <LineChart
              title="Taken spaces"
              summary={summaryOf(series.value, chart.gaps.length)}
              times={chart.times}
              lines={[{ label: 'mean', values: chart.means }]}
              band={{ label: 'typical', low: chart.low, high: chart.high }}
              gaps={chart.gaps}
              zone={zone}
              {...(capacity === null ? {} : { level: { value: capacity, label: 'capacity' } })}
            />
            <LineChart
              title="Readings"
              summary={`How many were stored in each ${range.every}; none is a gap, never a zero above.`}
              times={chart.times}
              lines={[{ label: 'readings', values: chart.counts, color: '--series-3' }]}
              gaps={chart.gaps}
              zone={zone}
              height={150}
            />
          </>
        )}
        {history.value !== undefined && (
          <HeatMap
            title={`Typical week, of the last ${weeks}`}
            hours={week.map(({ weekday, hour, mean }) => ({ weekday, hour, value: mean }))}
            highest={capacity ?? Math.max(0, ...week.map(({ mean }) => mean ?? 0))}
            unit="taken"
          />
        )}
        {hasLot && (
          <ExportBox
            question={{ lots: [lotId], from: range.value, every: range.every, agg: ['mean', 'max'], zone }}
          />
        )}
      </div>
    </>
  )
}

function aboutOf(lot: LotRow, zone: string): string {
  const spaces = lot.capacity === null ? 'capacity not known' : counted(lot.capacity, 'space')
  return `${spaces}, ${counted(lot.devices.length, 'device')}, times of ${zone}`
}

function Standing({ latest, nowMs }: { latest: LatestRow; nowMs: number }) {
  const state = lotStates[latest.state]
  return (
    <section class="panel stack tight" aria-label="Now">
      <div class="row spread">
        <p class="figure">
          <b>{latest.free === null ? '?' : number(latest.free)}</b>
          <span>
            {latest.free === null
              ? `not known; ${number(latest.lastOccupied)} taken when last heard`
              : `free of ${number(latest.capacity)}`}
          </span>
        </p>
        <p class="row">
          <Badge tone={state.tone}>{state.word}</Badge>
          <span class="soft small">{ago(parseTime(latest.time), nowMs)}</span>
        </p>
      </div>
      <OccupancyBar occupied={latest.occupied} capacity={latest.capacity} />
    </section>
  )
}

function chartOf(answer: Answer<SeriesRow>, week: readonly ProfileRow[], every: string) {
  const { rows } = answer
  const times = rows.map(({ start }) => parseTime(start) ?? 0)
  const byHour = new Map(week.map((row) => [(row.weekday - 1) * 24 + row.hour, row]))
  const typical = rows.map(({ start }) => (every === '1d' ? undefined : byHour.get(hourOfWeek(start))))
  return {
    times,
    means: rows.map(({ mean }) => mean ?? null),
    counts: rows.map(({ count }) => count ?? 0),
    low: { label: 'typical, low', values: typical.map((hour) => hour?.p10 ?? null) },
    high: { label: 'typical, high', values: typical.map((hour) => hour?.p90 ?? null) },
    gaps: gapsOf(answer),
  }
}

/** Runs of windows without a value, after the first that has one, each with the reason that ingest gives for its time. */
function gapsOf({ rows, gaps: reasons }: Answer<SeriesRow>): Gap[] {
  const gaps: Gap[] = []
  const first = rows.findIndex(({ mean }) => mean !== null && mean !== undefined)
  if (first < 0) return gaps
  for (const row of rows.slice(first)) {
    if (row.mean !== null && row.mean !== undefined) continue
    const [fromMs, toMs] = [parseTime(row.start) ?? 0, parseTime(row.end) ?? 0]
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

function summaryOf({ rows, complete, gaps }: Answer<SeriesRow>, holes: number): string {
  const means = rows.flatMap(({ mean }) => (mean === null || mean === undefined ? [] : [mean]))
  if (means.length === 0) return 'Nothing was measured in this range.'
  const range = `Between ${number(Math.min(...means))} and ${number(Math.max(...rows.map(({ max }) => max ?? 0)))} taken.`
  const missing = complete
    ? 'No reading is missing.'
    : `${counted(gaps.length, 'run')} of readings missing: see Quality.`
  return holes === 0 ? `${range} ${missing}` : `${range} ${missing} ${counted(holes, 'gap')} shaded.`
}
