/** One lot: how full it is and was over any range, against its typical week; what is missing, and how to get at it all. */
import { useMemo } from 'preact/hooks'
import { useLocation, useRoute } from 'preact-iso'
import type { CompletenessRow } from '../../../core/contract/completeness.ts'
import type { Answer, LatestRow, LotRow, ProfileRow, SeriesRow } from '../../../core/contract/query.ts'
import type { Query } from '../api.ts'
import { mayAs, useApp } from '../app-state.ts'
import { useLive } from '../live.ts'
import { useLoad, useNow } from '../load.ts'
import { flowsOf, lotChartOf, summaryOf } from '../lot-chart.ts'
import { localZone, lotStates } from '../lots.ts'
import { useParameters } from '../parameters.ts'
import { ExportBox } from '../parts/export-box.tsx'
import { Head } from '../parts/head.tsx'
import { HeatMap } from '../parts/heat-map.tsx'
import { LineChart } from '../parts/line-chart.tsx'
import { Badge, Empty, Fault, Waiting } from '../parts/notices.tsx'
import { OccupancyBar } from '../parts/occupancy.tsx'
import { RangeChoice } from '../parts/range-choice.tsx'
import { spanOf } from '../ranges.ts'
import { ago, counted, number, parseTime } from '../words.ts'

const weeks = 4
/** Charts are drawn anew at most so often, whatever comes in. */
const seriesEveryMs = 5000
const nothing: readonly ProfileRow[] = []
const nothingYet = { taken: undefined, flows: undefined, completeness: [], good: undefined }

export function LotPage() {
  const { api, me } = useApp()
  const lotId = useRoute().params.lotId ?? ''
  const { path } = useLocation()
  const [parameters, setParameters] = useParameters()
  const span = spanOf(parameters)
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
  const asked = { lot: lotId, tz: zone, from: span.from, to: span.to, every: span.every }
  const series = useLoad(
    hasLot ? JSON.stringify(asked) : undefined,
    async (signal) => {
      const ask = <Row,>(path: string, more: Query) =>
        api.get<Answer<Row>>(`/api/ingest/v1/${path}`, { query: { ...asked, ...more }, signal })
      // Flags are of single readings: over a year that were too many.
      const askGood = () => ask<SeriesRow>('series', { agg: 'count', quality: 'good' }).catch(() => undefined)
      const [taken, flows, completeness, good] = await Promise.all([
        ask<SeriesRow>('series', { agg: 'mean,max,count' }),
        ask<SeriesRow>('series', { metric: 'entries,exits', agg: 'sum' }),
        ask<CompletenessRow>('completeness', {}),
        /[dw]$/.test(span.every) ? undefined : askGood(),
      ])
      return { taken, flows, completeness: completeness.rows, good: good?.rows }
    },
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
    void head.refresh()
    if (/^-[0-9]+h$/.test(span.value) && Date.now() - (series.atMs ?? 0) > seriesEveryMs)
      void series.refresh()
  })
  const nowMs = useNow()
  const { lot, latest } = head.value ?? {}
  const capacity = latest?.capacity ?? lot?.capacity ?? null
  const { taken, flows, completeness, good } = series.value ?? nothingYet
  const chart = useMemo(
    () => (taken === undefined ? undefined : lotChartOf(taken, { week, completeness, good, capacity })),
    [taken, week, completeness, good, capacity],
  )
  const cars = chart === undefined || flows === undefined ? undefined : flowsOf(flows, chart.times)

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
        <RangeChoice span={span} zone={zone} choose={setParameters} />
        {chart === undefined && series.problem === undefined && <Waiting what="readings" />}
        {chart !== undefined && taken !== undefined && (
          <LineChart
            title="Taken spaces"
            summary={summaryOf(taken, chart.gaps.length)}
            times={chart.times}
            lines={[{ label: 'mean', values: chart.means }]}
            band={{
              label: 'typical',
              low: { label: 'typical, low', values: chart.typicalLow },
              high: { label: 'typical, high', values: chart.typicalHigh },
            }}
            gaps={chart.gaps}
            notes={chart.notes}
            remarks={chart.remarks}
            zone={zone}
            {...(capacity === null ? {} : { level: { value: capacity, label: 'capacity' } })}
          />
        )}
        {chart !== undefined && cars !== undefined && (
          <LineChart
            title="Cars in and out"
            summary={`In each ${flows?.resolution ?? span.every}: ${flowWords(cars)}`}
            times={chart.times}
            lines={[
              { label: 'in', values: cars.entries, color: '--series-3' },
              { label: 'out', values: cars.exits, color: '--series-2', dashes: 1 },
            ]}
            gaps={chart.gaps}
            zone={zone}
            height={190}
          />
        )}
        {chart !== undefined && cars === undefined && chart.times.length > 0 && (
          <p class="small soft">No device of this lot counts cars in and out.</p>
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
            question={{
              lots: [lotId],
              from: span.from,
              ...(span.to === undefined ? {} : { to: span.to }),
              every: taken?.resolution ?? span.every,
              agg: ['mean', 'max'],
              zone,
            }}
          />
        )}
      </div>
    </>
  )
}

function aboutOf(lot: LotRow, zone: string): string {
  const spaces = lot.capacity === null ? 'capacity not known' : counted(lot.capacity, 'space')
  const hours = lot.openingHours === null ? '' : `open ${lot.openingHours}, `
  return `${spaces}, ${counted(lot.devices.length, 'device')}, ${hours}times of ${zone}`
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

function flowWords({ entries, exits }: NonNullable<ReturnType<typeof flowsOf>>): string {
  const sum = (values: readonly (number | null)[]) =>
    values.reduce<number>((all, value) => all + (value ?? 0), 0)
  return `${counted(sum(entries), 'car')} in and ${number(sum(exits))} out in all.`
}
