/** System: how the programs stand, what they count, which keys sign, and who changed what. */
import { useState } from 'preact/hooks'
import type { ConsoleEvents, Services } from '../../wire.ts'
import { mayAs, useApp } from '../app-state.ts'
import { useLoad, useNow } from '../load.ts'
import { metricsOf } from '../metrics.ts'
import { useParameters } from '../parameters.ts'
import { Confirm } from '../parts/dialog.tsx'
import { Chips } from '../parts/form.tsx'
import { Head } from '../parts/head.tsx'
import { Badge, Empty, Fault, Waiting } from '../parts/notices.tsx'
import { Table } from '../parts/table.tsx'
import { ago, dash, dateTime, number, span } from '../words.ts'

interface Status {
  readonly version: string
  readonly uptimeSec: number
  readonly clients: number
  readonly devices: Readonly<Record<string, number>>
  readonly signingKeys: readonly SigningKey[]
}

interface SigningKey {
  readonly kid: string
  readonly alg: string
  readonly createdAtMs: number
  readonly signsFromMs: number
  readonly signsUntilMs: number | null
  readonly publishedUntilMs: number | null
}

interface AuditEntry {
  readonly auditId: number
  readonly atMs: number
  readonly actor: string
  readonly verb: string
  readonly subject: string
  readonly before?: unknown
  readonly after?: unknown
}

const tabs = [
  { value: '', text: 'Programs' },
  { value: 'keys', text: 'Signing keys' },
  { value: 'audit', text: 'Audit log' },
  { value: 'people', text: 'People here' },
] as const

export function SystemPage() {
  const { me } = useApp()
  const [{ tab = '' }, setParameters] = useParameters()
  const shown = tabs.filter(({ value }) => value !== 'people' || mayAs(me, 'admin'))
  return (
    <>
      <Head title="System" about={`Lotwatch ${me.version}`} />
      <div class="stack">
        <Chips
          label="Part"
          options={shown}
          chosen={tab as (typeof tabs)[number]['value']}
          choose={(value) => setParameters({ tab: value })}
        />
        {tab === '' && <Programs />}
        {tab === 'keys' && <SigningKeys />}
        {tab === 'audit' && <Audit />}
        {tab === 'people' && <People />}
      </div>
    </>
  )
}

const stateTone = { ready: 'good', not_ready: 'warn', away: 'bad' } as const
const stateWord = { ready: 'ready', not_ready: 'not ready', away: 'does not answer' } as const

function Programs() {
  const { api } = useApp()
  const services = useLoad('services', (signal) => api.get<Services>('/api/services', { signal }), {
    everyMs: 5000,
  })
  return (
    <div class="stack">
      <Fault problem={services.problem} retry={services.reload} />
      {services.value === undefined && services.problem === undefined && <Waiting what="the programs" />}
      <div class="cards">
        {(services.value?.services ?? []).map((service) => (
          <section key={service.name} class="panel stack tight" aria-label={service.name}>
            <div class="row spread">
              <h2>{service.name}</h2>
              <Badge tone={stateTone[service.state]}>{stateWord[service.state]}</Badge>
            </div>
            <p class="small soft">
              {service.url}
              <br />
              {service.detail === undefined ? (
                `answered in ${service.answerMs} ms`
              ) : (
                <code>{service.detail}</code>
              )}
            </p>
            {service.state !== 'away' && <Numbers name={service.name} />}
          </section>
        ))}
      </div>
    </div>
  )
}

function Numbers({ name }: { name: string }) {
  const { api } = useApp()
  const numbers = useLoad(
    `numbers ${name}`,
    async (signal) => {
      if (name === 'provisioning') {
        const { devices, clients, uptimeSec } = await api.get<Status>('/api/provisioning/v1/status', {
          signal,
        })
        const all = Object.values(devices).reduce((sum, count) => sum + count, 0)
        return [
          ['devices', number(all)],
          ['other clients', number(clients)],
          ['up for', span(uptimeSec)],
        ] as const
      }
      const answer = await api.response('GET', `/api/${name}/metrics`, {
        signal,
        headers: { accept: 'text/plain' },
      })
      return metricsOf(name, await answer.text())
    },
    { everyMs: 5000 },
  )
  return (
    <dl class="facts small">
      {(numbers.value ?? []).map(([what, value]) => (
        <>
          <dt key={`${what} name`}>{what}</dt>
          <dd key={what}>{value}</dd>
        </>
      ))}
    </dl>
  )
}

function SigningKeys() {
  const { api, me } = useApp()
  const nowMs = useNow()
  const status = useLoad('status', (signal) => api.get<Status>('/api/provisioning/v1/status', { signal }), {
    everyMs: 10_000,
  })
  const [isRotating, setRotating] = useState(false)
  return (
    <section class="stack tight">
      <div class="row spread">
        <p class="soft">
          Tokens are signed with these. The next key is published before it signs, so that everybody knows it.
        </p>
        {mayAs(me, 'admin') && (
          <button type="button" onClick={() => setRotating(true)}>
            Rotate
          </button>
        )}
      </div>
      <Fault problem={status.problem} retry={status.reload} />
      {status.value !== undefined && (
        <Table
          label="Signing keys"
          rows={status.value.signingKeys}
          keyOf={({ kid }) => kid}
          columns={[
            { name: 'kid', head: 'Key', cell: ({ kid }) => <code>{kid}</code> },
            { name: 'alg', head: 'Algorithm', by: ({ alg }) => alg, cell: ({ alg }) => alg },
            { name: 'state', head: 'State', cell: (key) => <KeyState signingKey={key} nowMs={nowMs} /> },
            {
              name: 'from',
              head: 'Signs from',
              by: (key) => key.signsFromMs,
              cell: (key) => dateTime(key.signsFromMs),
            },
            { name: 'until', head: 'until', cell: (key) => dateTime(key.signsUntilMs) },
            { name: 'published', head: 'Published until', cell: (key) => dateTime(key.publishedUntilMs) },
          ]}
        />
      )}
      {isRotating && (
        <Confirm
          title="Rotate the signing keys"
          verb="Make the next keys"
          done="The next keys are published, and sign after a while."
          act={() => api.post('/api/provisioning/v1/keys/rotate', { body: {} })}
          close={() => {
            setRotating(false)
            void status.reload()
          }}
        >
          <p>The keys of now go on until the next ones sign. Nobody notices.</p>
        </Confirm>
      )}
    </section>
  )
}

function KeyState({ signingKey, nowMs }: { signingKey: SigningKey; nowMs: number }) {
  if (signingKey.signsFromMs > nowMs) return <Badge tone="idle">next</Badge>
  if (signingKey.signsUntilMs !== null && signingKey.signsUntilMs <= nowMs)
    return <Badge tone="idle">still believed</Badge>
  return <Badge tone="good">signs</Badge>
}

function Audit() {
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
        <input
          type="search"
          aria-label="Of whom or what"
          placeholder="Of device, lot, client …"
          value={subject}
          onChange={(event) => filter({ subject: event.currentTarget.value })}
          style={{ width: '15rem' }}
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

function People() {
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
