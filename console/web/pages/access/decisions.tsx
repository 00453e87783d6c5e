/** The token log with what decided, and the explanation of what a request would come to now. */
import { useState } from 'preact/hooks'
import type { DecisionPage, DecisionRecord, Explanation } from '../../../../core/contract/decision.ts'
import { useApp } from '../../app-state.ts'
import { useDoing, useLoad, useNow } from '../../load.ts'
import { useParameters } from '../../parameters.ts'
import { Chips, Field, Search } from '../../parts/form.tsx'
import { Badge, Empty, Fault, Waiting } from '../../parts/notices.tsx'
import { Table } from '../../parts/table.tsx'
import { ago, dash, span } from '../../words.ts'

const base = '/api/provisioning/v1'

export function Decisions() {
  const { api } = useApp()
  const [{ outcome = '', of = '' }, setParameters] = useParameters()
  const nowMs = useNow()
  const page = useLoad(
    `decisions ${outcome} ${of}`,
    (signal) =>
      api.get<DecisionPage>(`${base}/decisions`, {
        query: { outcome, oauthClientId: of, limit: 200 },
        signal,
      }),
    { everyMs: 5000 },
  )
  const rows = page.value?.decisions ?? []
  return (
    <div class="stack">
      <div class="row">
        <Chips
          label="Outcome"
          chosen={outcome}
          choose={(value) => setParameters({ outcome: value })}
          options={[
            { value: '', text: 'all' },
            { value: 'refused', text: 'refused' },
            { value: 'issued', text: 'issued' },
          ]}
        />
        <Search label="Of which client" value={of} change={(text) => setParameters({ of: text })} />
      </div>
      <Fault problem={page.problem} retry={page.reload} />
      {page.value === undefined && page.problem === undefined && <Waiting what="decisions" />}
      {page.value !== undefined && rows.length === 0 && <Empty title="No decision is like that" />}
      {rows.length > 0 && (
        <Table
          label="Token log"
          rows={rows}
          keyOf={({ decisionId }) => decisionId}
          columns={[
            { name: 'at', head: 'When', by: (row) => row.atMs, cell: (row) => ago(row.atMs, nowMs) },
            {
              name: 'outcome',
              head: 'Outcome',
              by: (row) => row.outcome,
              cell: (row) => (
                <Badge tone={row.outcome === 'issued' ? 'good' : 'bad'}>{row.error ?? row.outcome}</Badge>
              ),
            },
            { name: 'client', head: 'Client', by: (row) => row.oauthClientId, cell: (row) => whoOf(row) },
            { name: 'address', head: 'From', by: (row) => row.address, cell: (row) => row.address ?? dash },
            {
              name: 'reason',
              head: 'What decided',
              cell: (row) => <code title={JSON.stringify(row.reason)}>{reasonWords(row)}</code>,
            },
          ]}
        />
      )}
    </div>
  )
}

function whoOf({ oauthClientId }: DecisionRecord) {
  if (oauthClientId === undefined) return dash
  return <a href={`/access?tab=explain&client=${encodeURIComponent(oauthClientId)}`}>{oauthClientId}</a>
}

function reasonWords({ reason }: DecisionRecord): string {
  return Object.entries(reason)
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ')
}

export function Explain() {
  const { api } = useApp()
  const [{ client = '' }] = useParameters()
  const doing = useDoing()
  const [oauthClientId, setClient] = useState(client)
  const [audience, setAudience] = useState('')
  const [answer, setAnswer] = useState<Explanation>()
  const ask = async (event: Event) => {
    event.preventDefault()
    await doing.run(async () => {
      const body = { oauthClientId, ...(audience === '' ? {} : { audience }) }
      setAnswer(await api.post<Explanation>(`${base}/explain`, { body }))
    })
  }
  return (
    <div class="two">
      <form class="panel stack" onSubmit={ask}>
        <h2>What would a token request come to now?</h2>
        <Field label="Client or device">
          <input required value={oauthClientId} onInput={(event) => setClient(event.currentTarget.value)} />
        </Field>
        <Field label="Audience" hint="Empty: its only grant, such as a device’s.">
          <input value={audience} onInput={(event) => setAudience(event.currentTarget.value)} />
        </Field>
        <Fault problem={doing.problem} />
        <div class="row">
          <button type="submit" class="main" disabled={doing.isBusy}>
            Explain
          </button>
        </div>
      </form>
      {answer !== undefined && (
        <section class="panel stack tight" role="status">
          <h2>{answer.issues ? 'A token would be issued' : `It would be refused: ${answer.error ?? ''}`}</h2>
          <ol class="stack tight">
            {answer.steps.map((step) => (
              <li key={step.step}>
                <Badge tone={step.passes ? 'good' : 'bad'}>{step.step.replace('_', ' ')}</Badge> {step.detail}
                {step.hint !== undefined && <p class="small soft">{step.hint}</p>}
              </li>
            ))}
          </ol>
          {answer.issues && (
            <p class="small soft">
              {answer.scopes?.join(' ')} for {span(answer.lifeSec ?? 0)}
            </p>
          )}
        </section>
      )}
    </div>
  )
}
