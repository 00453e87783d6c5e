/** Quality: what is known to be missing, and what could never be stored, with its reason. */
import { useState } from 'preact/hooks'
import type { CompletenessRow } from '../../../core/contract/completeness.ts'
import type { Answer, QuarantineReleased, QuarantineRow, SeriesRow } from '../../../core/contract/query.ts'
import { mayAs, useApp } from '../app-state.ts'
import { useDoing, useLoad, useNow } from '../load.ts'
import { localZone } from '../lots.ts'
import { useParameters } from '../parameters.ts'
import { Chips } from '../parts/form.tsx'
import { Head } from '../parts/head.tsx'
import { Empty, Fault, Waiting } from '../parts/notices.tsx'
import { Table } from '../parts/table.tsx'
import { ago, dash, dateTime, number, parseTime } from '../words.ts'

const tabs = [
  { value: '', text: 'By lot and day' },
  { value: 'missing', text: 'Missing' },
  { value: 'quarantine', text: 'Quarantine' },
] as const

export function QualityPage() {
  const [{ tab = '' }, setParameters] = useParameters()
  return (
    <>
      <Head title="Quality" about="What is missing is said, and never shown as zero" />
      <div class="stack">
        <Chips
          label="Part"
          options={tabs}
          chosen={tab as (typeof tabs)[number]['value']}
          choose={(value) => setParameters({ tab: value })}
        />
        {tab === '' && <Calendar />}
        {tab === 'missing' && <Missing />}
        {tab === 'quarantine' && <Quarantine />}
      </div>
    </>
  )
}

/** Of what was due, how much came: a row for each lot, a column for each day. */
function Calendar() {
  const { api } = useApp()
  const answer = useLoad('calendar', (signal) =>
    api.get<Answer<CompletenessRow>>('/api/ingest/v1/completeness', {
      query: { from: '-13d/d', every: '1d', tz: localZone },
      signal,
    }),
  )
  const rows = answer.value?.rows ?? []
  const days = [...new Set(rows.map(({ start }) => start))].toSorted()
  const lots = [...new Set(rows.map(({ lotId }) => lotId))].toSorted()
  const of = new Map(rows.map((row) => [`${row.lotId} ${row.start}`, row]))
  return (
    <div class="stack">
      <Fault problem={answer.problem} retry={answer.reload} />
      {answer.value === undefined && answer.problem === undefined && <Waiting what="completeness" />}
      {answer.value !== undefined && lots.length === 0 && (
        <Empty title="There is nothing to judge yet">
          <p>
            Once devices count for a lot, each of its days has the share of the readings that came of those
            due.
          </p>
        </Empty>
      )}
      {lots.length > 0 && (
        <>
          <p class="soft">
            Percent of the readings that were due. Where no device has said when it takes them, how many came.
          </p>
          <section
            class="scroll"
            // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
            tabIndex={0}
            aria-label="Completeness by lot and day"
          >
            <table>
              <thead>
                <tr>
                  <th scope="col">Lot</th>
                  {days.map((day) => (
                    <th key={day} scope="col" class="end">
                      {day.slice(8, 10)}.{day.slice(5, 7)}.
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {lots.slice(0, calendarLotsMax).map((lotId) => (
                  <tr key={lotId}>
                    <th scope="row">
                      <a href={`/lots/${lotId}`}>{lotId}</a>
                    </th>
                    {days.map((day) => (
                      <Day key={day} row={of.get(`${lotId} ${day}`)} />
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
        </>
      )}
    </div>
  )
}

const calendarLotsMax = 200

function Day({ row }: { row: CompletenessRow | undefined }) {
  if (row === undefined || row.expected === null || row.expected === 0) {
    const came = row === undefined || row.received === 0 ? dash : `${number(row.received)} came`
    return <td class="small soft">{came}</td>
  }
  const share = Math.max(0, 1 - (row.missing ?? 0) / row.expected)
  // Not rounded up: what is not all is not a hundred.
  const shown = Math.floor(share * 100)
  const tone = shown >= 99 ? 'good' : shown >= 90 ? 'warn' : 'bad'
  const reasons = Object.entries(row.reasons).map(
    ([reason, count]) => `${reason.replaceAll('_', ' ')}: ${count}`,
  )
  return (
    <td title={[`${number(row.received)} of ${number(row.expected)}`, ...reasons].join(', ')}>
      <span class={`day ${tone}`}>{shown} %</span>
    </td>
  )
}

function Missing() {
  const { api } = useApp()
  const answer = useLoad('missing', (signal) =>
    api.get<Answer<SeriesRow>>('/api/ingest/v1/series', {
      query: { from: '-30d', every: '1d', agg: 'count', tz: localZone },
      signal,
    }),
  )
  const { gaps = [], complete } = answer.value ?? {}
  return (
    <div class="stack">
      <Fault problem={answer.problem} retry={answer.reload} />
      {answer.value === undefined && answer.problem === undefined && <Waiting what="the ledger" />}
      {complete === true && (
        <Empty title="No reading of the last 30 days is missing">
          <p>Each device counts its readings without gaps; the ledger of what was stored has no hole.</p>
        </Empty>
      )}
      {gaps.length > 0 && (
        <Table
          label="Readings that are missing"
          rows={gaps}
          keyOf={(gap) => JSON.stringify(gap)}
          columns={[
            { name: 'device', head: 'Device', by: (gap) => gap.deviceId, cell: (gap) => gap.deviceId },
            { name: 'lot', head: 'Lot', by: (gap) => gap.lotId, cell: (gap) => gap.lotId ?? dash },
            {
              name: 'from',
              head: 'From',
              by: (gap) => gap.from,
              cell: (gap) => dateTime(parseTime(gap.from)),
            },
            { name: 'to', head: 'To', by: (gap) => gap.to, cell: (gap) => dateTime(parseTime(gap.to)) },
            {
              name: 'count',
              head: 'Readings',
              align: 'end',
              by: (gap) => gap.readings,
              cell: (gap) => number(gap.readings),
            },
            {
              name: 'reason',
              head: 'Reason',
              by: (gap) => gap.reason,
              cell: (gap) => gap.reason.replaceAll('_', ' '),
            },
            { name: 'detail', head: 'Its own word', cell: (gap) => gap.detail ?? dash },
            {
              name: 'seq',
              head: 'Sequences',
              cell: (gap) => (gap.fromSeq === null ? dash : `${gap.fromSeq} – ${gap.toSeq}`),
            },
          ]}
        />
      )}
    </div>
  )
}

function Quarantine() {
  const { api, me } = useApp()
  const doing = useDoing()
  const { say } = useApp()
  const nowMs = useNow()
  const [cursors, setCursors] = useState<readonly string[]>([])
  const cursor = cursors.at(-1)
  const page = useLoad(`quarantine ${cursor}`, (signal) =>
    api.get<Answer<QuarantineRow>>('/api/ingest/v1/quarantine', { query: { limit: 500, cursor }, signal }),
  )
  const rows = page.value?.rows ?? []
  /** After a fix: what is right now is stored, the rest stays. */
  const release = async () => {
    await doing.run(async () => {
      const { released, remaining } = await api.post<QuarantineReleased>(
        '/api/ingest/v1/quarantine/release',
        {
          body: { limit: 10_000 },
        },
      )
      say(`${number(released.length)} released, ${number(remaining.length)} still wrong.`)
    })
    await page.reload()
  }
  return (
    <div class="stack">
      <Fault problem={page.problem} retry={page.reload} />
      {page.value === undefined && page.problem === undefined && <Waiting what="quarantine" />}
      {page.value !== undefined && rows.length === 0 && (
        <Empty title="The quarantine is empty">
          <p>
            What can never be right, such as a negative count or a time before 2000, is set aside here with
            its reason. It harms no other reading.
          </p>
        </Empty>
      )}
      {rows.length > 0 && (
        <>
          <div class="row spread">
            <p class="soft">{number(rows.length)} on this page.</p>
            {mayAs(me, 'operator') && (
              <button type="button" disabled={doing.isBusy} onClick={() => void release()}>
                Check them again
              </button>
            )}
          </div>
          <Fault problem={doing.problem} />
          <Table
            label="Quarantine"
            rows={rows}
            keyOf={({ id }) => id}
            columns={[
              { name: 'device', head: 'Device', by: (row) => row.deviceId, cell: (row) => row.deviceId },
              {
                name: 'reason',
                head: 'Reason',
                by: (row) => row.reason,
                cell: (row) => <code>{row.reason}</code>,
              },
              {
                name: 'received',
                head: 'Arrived',
                by: (row) => row.receivedAt,
                cell: (row) => ago(parseTime(row.receivedAt), nowMs),
              },
              {
                name: 'count',
                head: 'Times',
                align: 'end',
                by: (row) => row.count,
                cell: (row) => number(row.count),
              },
              {
                name: 'stored',
                head: 'Stored instead',
                align: 'end',
                cell: (row) => number(row.storedOccupied),
              },
              {
                name: 'content',
                head: 'Content',
                cell: (row) => <code title={row.content ?? ''}>{row.content ?? dash}</code>,
              },
            ]}
          />
        </>
      )}
      <div class="row">
        {cursors.length > 0 && (
          <button type="button" onClick={() => setCursors(cursors.slice(0, -1))}>
            Before
          </button>
        )}
        {page.value?.nextCursor !== undefined && (
          <button type="button" onClick={() => setCursors([...cursors, page.value?.nextCursor ?? ''])}>
            More
          </button>
        )}
      </div>
    </div>
  )
}
