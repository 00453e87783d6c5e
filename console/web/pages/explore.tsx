/** Explore: several lots over one range, against the week before; the address holds all of it. */
import { useMemo } from 'preact/hooks'
import type { Aggregate, Answer, LotRow, Metric, SeriesRow } from '../../../core/contract/query.ts'
import { useApp } from '../app-state.ts'
import { useLoad } from '../load.ts'
import { localZone } from '../lots.ts'
import { useParameters } from '../parameters.ts'
import { ExportBox } from '../parts/export-box.tsx'
import { Chips, Field, Switch } from '../parts/form.tsx'
import { Head } from '../parts/head.tsx'
import { type Line, LineChart } from '../parts/line-chart.tsx'
import { Empty, Fault, Waiting } from '../parts/notices.tsx'
import { RangeChoice } from '../parts/range-choice.tsx'
import { queryOf, type SeriesQuestion, spanOf } from '../ranges.ts'
import { counted, number, parseTime } from '../words.ts'
import { Sql } from './sql.tsx'

const aggregates = ['mean', 'max', 'min', 'last', 'p95'] as const satisfies readonly Aggregate[]
const aggregateWords: Readonly<Record<string, string>> = {
  mean: 'mean',
  max: 'highest',
  min: 'lowest',
  last: 'last',
  p95: 'not exceeded in 95 %',
  sum: 'sum',
}
const metrics = [
  { value: 'occupied', text: 'Taken spaces' },
  { value: 'free', text: 'Free spaces' },
  { value: 'utilisation', text: 'Utilisation, percent' },
  { value: 'entries', text: 'Cars that came in' },
  { value: 'exits', text: 'Cars that went out' },
] as const satisfies readonly { value: Metric; text: string }[]

const lotsMax = 4
const weekMs = 7 * 86_400_000

export function ExplorePage() {
  const [{ tab = '' }, setParameters] = useParameters()
  return (
    <>
      <Head title="Explore" about="Ask anything; the address holds the whole question, to keep or to send" />
      <div class="stack">
        <Chips
          label="Part"
          options={[
            { value: '', text: 'Charts' },
            { value: 'sql', text: 'SQL' },
          ]}
          chosen={tab}
          choose={(value) => setParameters({ tab: value })}
        />
        {tab === 'sql' ? <Sql /> : <Charts />}
      </div>
    </>
  )
}

function Charts() {
  const { api } = useApp()
  const [parameters, setParameters] = useParameters()
  const span = spanOf(parameters)
  const metric = metrics.find(({ value }) => value === parameters.metric) ?? metrics[0]
  const areCars = metric.value === 'entries' || metric.value === 'exits'
  const agg = areCars ? ['sum' as const] : aggregatesIn(parameters.agg)
  const compares = parameters.compare === 'week' && span.value !== '-365d'
  const lots = useLoad('lots', (signal) => api.get<Answer<LotRow>>('/api/ingest/v1/lots', { signal }))
  const known = lots.value?.rows ?? []
  const wanted = (parameters.lots ?? '').split(',').filter((lotId) => lotId !== '')
  const chosen = (wanted.length > 0 ? wanted : known.slice(0, 2).map(({ lotId }) => lotId)).slice(0, lotsMax)
  const nameOf = (lotId: string) => known.find((lot) => lot.lotId === lotId)?.name ?? lotId
  const question = {
    lots: chosen,
    from: span.from,
    ...(span.to === undefined ? {} : { to: span.to }),
    every: span.every,
    agg,
    ...(metric.value === 'occupied' ? {} : { metric: metric.value }),
    zone: localZone,
  }
  const series = useLoad(
    chosen.length === 0 ? undefined : JSON.stringify([question, compares]),
    async (signal) => {
      const ask = (times: Partial<SeriesQuestion>) =>
        api.get<Answer<SeriesRow>>('/api/ingest/v1/series', {
          query: queryOf({ ...question, ...times }),
          signal,
        })
      const now = await ask({})
      const [first, last] = [now.rows[0]?.start, now.rows[0] === undefined ? undefined : now.rows.at(-1)?.end]
      if (!compares || first === undefined || last === undefined) return { now, before: undefined }
      const weekAgo = (time: string) => new Date(Date.parse(time) - weekMs).toISOString()
      return {
        now,
        before: await ask({ from: weekAgo(first), to: weekAgo(last), every: now.resolution ?? span.every }),
      }
    },
    { everyMs: 60_000 },
  )
  const chart = useMemo(
    () => (series.value === undefined ? undefined : chartOf(series.value, chosen, agg, nameOf)),
    [series.value, known, agg.join()],
  )
  const choose = (lotId: string, isOn: boolean) =>
    setParameters({ lots: (isOn ? [...chosen, lotId] : chosen.filter((one) => one !== lotId)).join(',') })

  return (
    <div class="stack">
      <Fault problem={lots.problem ?? series.problem} retry={series.reload} />
      {lots.value === undefined && lots.problem === undefined && <Waiting what="lots" />}
      {lots.value !== undefined && known.length === 0 && (
        <Empty title="There is nothing to explore yet">
          <p>Charts of several lots appear here once readings come in.</p>
          <pre>npx lotctl demo</pre>
        </Empty>
      )}
      {known.length > 0 && (
        <>
          <section class="panel stack tight" aria-label="The question">
            <div class="row">
              {chosen.map((lotId) => (
                <button
                  key={lotId}
                  type="button"
                  class="chip"
                  aria-pressed="true"
                  onClick={() => choose(lotId, false)}
                  aria-label={`Leave out ${nameOf(lotId)}`}
                >
                  {nameOf(lotId)} ✕
                </button>
              ))}
              {chosen.length < lotsMax && (
                <div style={{ minWidth: '12rem' }}>
                  <select
                    aria-label="Add a lot"
                    value=""
                    onChange={(event) => choose(event.currentTarget.value, true)}
                  >
                    <option value="">add a lot …</option>
                    {known
                      .filter(({ lotId }) => !chosen.includes(lotId))
                      .map((lot) => (
                        <option key={lot.lotId} value={lot.lotId}>
                          {lot.name}
                        </option>
                      ))}
                  </select>
                </div>
              )}
            </div>
            <div class="row">
              <RangeChoice span={span} zone={localZone} choose={setParameters} />
              <Field label="What">
                <select
                  value={metric.value}
                  onChange={(event) => setParameters({ metric: event.currentTarget.value })}
                >
                  {metrics.map(({ value, text }) => (
                    <option key={value} value={value}>
                      {text}
                    </option>
                  ))}
                </select>
              </Field>
              <Switch
                label="against the week before"
                isOn={compares}
                disabled={span.value === '-365d'}
                change={(isOn) => setParameters({ compare: isOn ? 'week' : undefined })}
              />
            </div>
            {!areCars && (
              <fieldset class="row">
                <legend class="small soft">Of each window</legend>
                {aggregates.map((one) => (
                  <Switch
                    key={one}
                    label={aggregateWords[one]}
                    isOn={agg.includes(one)}
                    disabled={agg.length === 1 && agg[0] === one}
                    change={(isOn) =>
                      setParameters({
                        agg: aggregates
                          .filter((other) => (other === one ? isOn : agg.includes(other)))
                          .join(','),
                      })
                    }
                  />
                ))}
              </fieldset>
            )}
          </section>
          {chart !== undefined && (
            <LineChart
              title={metric.text}
              summary={chart.summary}
              times={chart.times}
              lines={chart.lines}
              zone={localZone}
              height={360}
            />
          )}
          {chosen.length > 0 && (
            <ExportBox question={{ ...question, every: series.value?.now.resolution ?? span.every }} />
          )}
        </>
      )}
    </div>
  )
}

/** Those the address names; the mean where it names none. */
function aggregatesIn(text: string | undefined): Aggregate[] {
  const named = (text ?? '').split(',')
  const known = aggregates.filter((one) => named.includes(one))
  return known.length === 0 ? ['mean'] : known
}

function chartOf(
  { now, before }: { now: Answer<SeriesRow>; before: Answer<SeriesRow> | undefined },
  lots: readonly string[],
  aggs: readonly Aggregate[],
  nameOf: (lotId: string) => string,
) {
  const times = [...new Set(now.rows.map(({ start }) => parseTime(start) ?? 0))].toSorted((a, b) => a - b)
  const lineOf = (lotId: string, agg: Aggregate, answer: Answer<SeriesRow>, shiftMs: number) => {
    const values = new Map(
      answer.rows
        .filter((row) => row.lotId === lotId)
        .map((row) => [(parseTime(row.start) ?? 0) + shiftMs, row[agg] ?? null]),
    )
    return times.map((atMs) => values.get(atMs) ?? null)
  }
  const linesOf = (answer: Answer<SeriesRow>, shiftMs: number, more: string): Line[] =>
    lots.flatMap((lotId, i) =>
      aggs.map((agg, j) => ({
        label: `${nameOf(lotId)}${aggs.length === 1 ? '' : `, ${aggregateWords[agg]}`}${more}`,
        values: lineOf(lotId, agg, answer, shiftMs),
        color: `--series-${(i % 4) + 1}`,
        dashes: more === '' ? j : 2,
        digits: agg === 'mean' ? 1 : 0,
      })),
    )
  const known = linesOf(now, 0, '')
  const lines = before === undefined ? known : [...known, ...linesOf(before, weekMs, ', week before')]
  const peaks = known.map(({ label, values }) => {
    const measured = values.filter((value) => value !== null)
    return measured.length === 0
      ? `${label}: nothing measured`
      : `${label}: at most ${number(Math.max(...measured))}`
  })
  const missing = now.complete ? '' : `; ${counted(now.gaps.length, 'run')} of readings missing`
  return { times, lines, summary: `${peaks.join(', ')}${missing}.` }
}
