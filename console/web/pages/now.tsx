/** Now: a card for each lot with what is free, where it is going and how it was, and what needs somebody's attention. */
import { useMemo, useState } from 'preact/hooks'
import { useLocation } from 'preact-iso'
import type { LatestRow } from '../../../core/contract/query.ts'
import { mayAs, useApp } from '../app-state.ts'
import { useLive } from '../live.ts'
import { useLoad, useNow } from '../load.ts'
import { askHistory, askLatest, lotStates } from '../lots.ts'
import { Search } from '../parts/form.tsx'
import { Head } from '../parts/head.tsx'
import { Badge, Empty, Fault, Waiting } from '../parts/notices.tsx'
import { OccupancyBar, Sparkline } from '../parts/occupancy.tsx'
import { type Point, trendOf, trendWords } from '../trend.ts'
import { ago, clock, counted, number, parseTime } from '../words.ts'

/** What only time changes, such as that a lot is stale; and all there is to know where there are too many lots to listen to. */
const latestEveryMs = 10_000
/** Each reading of every one of them comes to each page that is open. */
const liveLotsMax = 200
const historyEveryMs = 60_000
/** Beyond that a search shows which. */
const cardsMax = 120

export function NowPage() {
  const { api } = useApp()
  const { query } = useLocation()
  const isKiosk = 'kiosk' in query
  const latest = useLoad('latest', (signal) => askLatest(api, signal), { everyMs: latestEveryMs })
  const [search, setSearch] = useState('')
  const [order, setOrder] = useState<'name' | 'full'>('name')
  const rows = latest.value?.rows ?? []
  const isSmall = latest.value !== undefined && rows.length <= liveLotsMax
  useLive(isSmall ? {} : undefined, () => void latest.refresh())
  const shown = useMemo(() => chosen(rows, search, order), [rows, search, order])
  const lots = shown.map(({ lotId }) => lotId)
  const history = useLoad(
    latest.value === undefined ? undefined : lots.toSorted().join(),
    (signal) => askHistory(api, { lots, from: '-24h', every: '30m' }, signal),
    { everyMs: historyEveryMs },
  )
  const nowMs = useNow(5000)

  return (
    <>
      <Head title="Now" about={summary(rows)}>
        {!isKiosk && rows.length > 0 && (
          <>
            <Search
              label="Search lots"
              placeholder="Search lots  /"
              width={13}
              value={search}
              type={setSearch}
            />
            <button
              type="button"
              class="chip"
              aria-pressed={order === 'full'}
              onClick={() => setOrder(order === 'full' ? 'name' : 'full')}
            >
              Fullest first
            </button>
            <a class="button" href="/?kiosk">
              Wall screen
            </a>
          </>
        )}
      </Head>
      <div class="stack">
        <Fault problem={latest.problem} retry={latest.reload} />
        {latest.value === undefined && latest.problem === undefined && <Waiting what="lots" />}
        {!isKiosk && latest.value !== undefined && (
          <Attention rows={rows} isComplete={latest.value.complete} />
        )}
        {latest.value !== undefined && rows.length === 0 && <NoLots />}
        {rows.length > 0 && shown.length === 0 && (
          <Empty title={`No lot is called “${search}”`}>
            <button type="button" onClick={() => setSearch('')}>
              Show all
            </button>
          </Empty>
        )}
        <ul class="cards">
          {shown.map((row) => (
            <li key={row.lotId} style={{ display: 'grid' }}>
              <LotCard row={row} points={history.value?.get(row.lotId) ?? []} nowMs={nowMs} />
            </li>
          ))}
        </ul>
        {rows.length > shown.length && shown.length === cardsMax && (
          <p class="soft">
            {counted(rows.length - shown.length, 'more lot')} not shown; search, or see{' '}
            <a href="/lots">Lots</a>.
          </p>
        )}
      </div>
    </>
  )
}

function chosen(rows: readonly LatestRow[], search: string, order: 'name' | 'full'): readonly LatestRow[] {
  const wanted = search.trim().toLowerCase()
  const found =
    wanted === '' ? rows : rows.filter(({ name, lotId }) => `${name} ${lotId}`.toLowerCase().includes(wanted))
  const share = ({ occupied, capacity }: LatestRow) =>
    occupied === null || capacity === null || capacity === 0 ? -1 : occupied / capacity
  const sorted =
    order === 'full'
      ? found.toSorted((a, b) => share(b) - share(a))
      : found.toSorted((a, b) => a.name.localeCompare(b.name))
  return sorted.slice(0, cardsMax)
}

function summary(rows: readonly LatestRow[]): string {
  const known = rows.filter(({ free }) => free !== null)
  if (rows.length === 0) return 'What is free in every lot'
  const free = known.reduce((sum, row) => sum + (row.free ?? 0), 0)
  const capacity = known.reduce((sum, row) => sum + (row.capacity ?? 0), 0)
  if (known.length === 0) return `${counted(rows.length, 'lot')}, none with a number that is known now`
  const sum = `${number(free)} of ${counted(capacity, 'space')} free`
  return known.length === rows.length
    ? `${sum} in ${counted(rows.length, 'lot')}`
    : `${sum} in ${number(known.length)} of ${counted(rows.length, 'lot')}; of the others nobody knows`
}

function LotCard({ row, points, nowMs }: { row: LatestRow; points: readonly Point[]; nowMs: number }) {
  const state = lotStates[row.state]
  const atMs = parseTime(row.time)
  const trend = trendOf(points, row.capacity, nowMs)
  return (
    <article class="card lot">
      <div class="row spread">
        <h2>
          <a href={`/lots/${row.lotId}`}>{row.name}</a>
        </h2>
        {row.state !== 'current' && <Badge tone={state.tone}>{state.word}</Badge>}
      </div>
      <Figure row={row} />
      <OccupancyBar occupied={row.occupied} capacity={row.capacity} />
      <Sparkline points={points} capacity={row.capacity} />
      <p class="row spread small soft">
        <span>{row.state === 'current' ? trendWords(trend, clock) : state.why}</span>
        <span>{atMs === null ? '' : ago(atMs, nowMs)}</span>
      </p>
    </article>
  )
}

function Figure({ row }: { row: LatestRow }) {
  if (row.free !== null)
    return (
      <p class="figure">
        <b>{number(row.free)}</b> <span>free of {number(row.capacity)}</span>
      </p>
    )
  if (row.occupied !== null)
    return (
      <p class="figure">
        <b>{number(row.occupied)}</b> <span>taken; the capacity is not known</span>
      </p>
    )
  const last = row.lastOccupied === null ? '' : `; ${number(row.lastOccupied)} taken when last heard`
  return (
    <p class="figure unknown">
      <b>?</b> <span class="soft">not known{last}</span>
    </p>
  )
}

interface Matter {
  readonly text: string
  readonly href: string
}

/** What somebody should look at; nothing is shown when there is nothing. */
function Attention({ rows, isComplete }: { rows: readonly LatestRow[]; isComplete: boolean }) {
  const { api, me } = useApp()
  const isOperator = mayAs(me, 'operator')
  const fleet = useLoad(
    isOperator ? 'attention' : undefined,
    async (signal) => {
      const [{ alarms }, { enrolments }] = await Promise.all([
        api.get<{ alarms: { acknowledgedAtMs: number | null }[] }>('/api/provisioning/v1/alarms', { signal }),
        api.get<{ enrolments: unknown[] }>('/api/provisioning/v1/enrolments', {
          query: { state: 'pending' },
          signal,
        }),
      ])
      return {
        alarms: alarms.filter(({ acknowledgedAtMs }) => acknowledgedAtMs === null).length,
        pending: enrolments.length,
      }
    },
    { everyMs: 15_000 },
  )
  const points: Matter[] = []
  for (const state of ['silent', 'stale'] as const) {
    const those = rows.filter((row) => row.state === state)
    const [first] = those
    if (first !== undefined)
      points.push({
        text:
          those.length === 1
            ? `${first.name}: ${lotStates[state].word}`
            : `${counted(those.length, 'lot')}: ${lotStates[state].word}`,
        href: those.length === 1 ? `/lots/${first.lotId}` : '/lots',
      })
  }
  if (!isComplete) points.push({ text: 'readings are missing', href: '/quality' })
  const { alarms = 0, pending = 0 } = fleet.value ?? {}
  if (pending > 0) points.push({ text: `${counted(pending, 'board')} to approve`, href: '/enrolment' })
  if (alarms > 0) points.push({ text: `${counted(alarms, 'alarm')} about boards`, href: '/enrolment#alarms' })
  if (points.length === 0) return null
  return (
    <section class="attention" aria-labelledby="attention">
      <h2 id="attention">Needs attention ({points.length})</h2>
      <ul>
        {points.map(({ text, href }) => (
          <li key={text}>
            <a href={href}>{text}</a>
          </li>
        ))}
      </ul>
    </section>
  )
}

function NoLots() {
  const { me } = useApp()
  return (
    <Empty title="There are no lots yet">
      <p>
        A lot appears here with its first device. Register one, or let a simulated fleet try the system out:
      </p>
      <pre>npx lotctl demo</pre>
      {mayAs(me, 'operator') && (
        <a class="button" href="/devices?new">
          Register a device
        </a>
      )}
    </Empty>
  )
}
