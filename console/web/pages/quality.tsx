/** Quality: what is known to be missing, and what could never be stored, with its reason. */
import { useState } from 'preact/hooks'
import type { Answer, QuarantineRow, SeriesRow } from '../../../core/contract/query.ts'
import { useApp } from '../app-state.ts'
import { useLoad, useNow } from '../load.ts'
import { localZone } from '../lots.ts'
import { useParameters } from '../parameters.ts'
import { Chips } from '../parts/form.tsx'
import { Head } from '../parts/head.tsx'
import { Empty, Fault, Waiting } from '../parts/notices.tsx'
import { Table } from '../parts/table.tsx'
import { ago, counted, dash, dateTime, number, parseTime } from '../words.ts'

const tabs = [
  { value: '', text: 'Missing' },
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
        {tab === 'quarantine' ? <Quarantine /> : <Missing />}
      </div>
    </>
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
  const { api } = useApp()
  const nowMs = useNow()
  const [cursors, setCursors] = useState<readonly string[]>([])
  const cursor = cursors.at(-1)
  const page = useLoad(`quarantine ${cursor}`, (signal) =>
    api.get<Answer<QuarantineRow>>('/api/ingest/v1/quarantine', { query: { limit: 500, cursor }, signal }),
  )
  const rows = page.value?.rows ?? []
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
          <p class="soft">{counted(rows.length, 'entry').replace('entrys', 'entries')} on this page.</p>
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
