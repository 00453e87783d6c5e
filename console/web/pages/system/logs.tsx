/** Who changed what: the audit log of provisioning, and what people did in this console. */
import { useState } from 'preact/hooks'
import type { ConsoleEvents } from '../../../wire.ts'
import { useApp } from '../../app-state.ts'
import { useLoad, useNow } from '../../load.ts'
import { useParameters } from '../../parameters.ts'
import { Search } from '../../parts/form.tsx'
import { Empty, Fault } from '../../parts/notices.tsx'
import { Table } from '../../parts/table.tsx'
import { ago, dash, dateTime } from '../../words.ts'

interface AuditEntry {
  readonly auditId: number
  readonly atMs: number
  readonly actor: string
  readonly verb: string
  readonly subject: string
  readonly before?: unknown
  readonly after?: unknown
}

export function Audit() {
  const { api } = useApp()
  const [{ subject = '', actor = '' }, setParameters] = useParameters()
  const [cursors, setCursors] = useState<readonly string[]>([])
  const cursor = cursors.at(-1)
  const page = useLoad(`audit ${subject} ${actor} ${cursor}`, (signal) =>
    api.get<{ entries: AuditEntry[]; nextCursor?: string }>('/api/provisioning/v1/audit', {
      query: { subject, actor, cursor, limit: 100 },
      signal,
    }),
  )
  const filter = (changes: Record<string, string>) => {
    setCursors([])
    setParameters(changes)
  }
  const entries = page.value?.entries ?? []
  const query = new URLSearchParams(Object.entries({ subject, actor }).filter(([, value]) => value !== ''))
  return (
    <section class="stack tight">
      <div class="row">
        <Search
          label="Of whom or what"
          placeholder="Of device, lot, client …"
          width={15}
          value={subject}
          change={(text) => filter({ subject: text })}
        />
        <input
          aria-label="By whom"
          placeholder="By whom, such as console/admin"
          value={actor}
          onChange={(event) => filter({ actor: event.currentTarget.value })}
          style={{ width: '17rem' }}
        />
        <a
          class="button"
          href={`/api/provisioning/v1/audit?${query}`}
          download="audit.json"
          target="_blank"
          rel="noreferrer"
        >
          Download this page
        </a>
      </div>
      <Fault problem={page.problem} retry={page.reload} />
      {page.value !== undefined && entries.length === 0 && <Empty title="No change is like that" />}
      {entries.length > 0 && (
        <Table
          label="Audit log"
          rows={entries}
          keyOf={({ auditId }) => String(auditId)}
          columns={[
            { name: 'at', head: 'When', by: (row) => row.atMs, cell: (row) => dateTime(row.atMs) },
            { name: 'actor', head: 'Who', by: (row) => row.actor, cell: (row) => row.actor },
            { name: 'verb', head: 'What', by: (row) => row.verb, cell: (row) => row.verb },
            { name: 'subject', head: 'Of', by: (row) => row.subject, cell: (row) => row.subject },
            {
              name: 'after',
              head: 'Became',
              cell: (row) => (
                <code title={JSON.stringify(row.before)}>
                  {row.after === undefined ? dash : JSON.stringify(row.after)}
                </code>
              ),
            },
          ]}
        />
      )}
      <div class="row">
        {cursors.length > 0 && (
          <button type="button" onClick={() => setCursors(cursors.slice(0, -1))}>
            Newer
          </button>
        )}
        {page.value?.nextCursor !== undefined && (
          <button type="button" onClick={() => setCursors([...cursors, page.value?.nextCursor ?? ''])}>
            Older
          </button>
        )}
      </div>
    </section>
  )
}

export function People() {
  const { api } = useApp()
  const nowMs = useNow()
  const events = useLoad('events', (signal) => api.get<ConsoleEvents>('/api/events', { signal }), {
    everyMs: 10_000,
  })
  return (
    <section class="stack tight">
      <p class="soft">Who signed in to this console and what they changed through it, newest first.</p>
      <Fault problem={events.problem} retry={events.reload} />
      <Table
        label="What people did here"
        rows={events.value?.events ?? []}
        keyOf={({ eventId }) => String(eventId)}
        columns={[
          { name: 'at', head: 'When', by: (row) => row.atMs, cell: (row) => ago(row.atMs, nowMs) },
          { name: 'person', head: 'Who', by: (row) => row.person, cell: (row) => row.person },
          { name: 'verb', head: 'What', by: (row) => row.verb, cell: (row) => row.verb },
          { name: 'subject', head: 'Of', by: (row) => row.subject, cell: (row) => row.subject },
          { name: 'address', head: 'From', by: (row) => row.address, cell: (row) => row.address },
        ]}
      />
    </section>
  )
}
