/** The rules that run at token time, and a form that tries what one would do; nothing is issued by it. */
import { useState } from 'preact/hooks'
import type { RuleShown, RuleTestAnswer } from '../../../../core/contract/rule.ts'
import { useApp } from '../../app-state.ts'
import { useDoing, useLoad } from '../../load.ts'
import { Field } from '../../parts/form.tsx'
import { Badge, Empty, Fault, Waiting } from '../../parts/notices.tsx'
import { Table } from '../../parts/table.tsx'
import { bytes, number } from '../../words.ts'

const base = '/api/provisioning/v1/rules'
const example = `exports.onExecuteCredentialsExchange = async (event, api) => {
  if (event.client.metadata.zone !== 'north') api.access.deny('invalid_scope', 'only the north')
}`

export function Rules() {
  const { api } = useApp()
  const rules = useLoad('rules', (signal) => api.get<{ rules: RuleShown[] }>(base, { signal }), {
    everyMs: 10_000,
  })
  const [source, setSource] = useState(example)
  const show = useDoing()
  return (
    <div class="stack">
      <p class="soft">
        They change in their folder on the server, never here: whoever may write there may decide.
      </p>
      <Fault problem={rules.problem ?? show.problem} retry={rules.reload} />
      {rules.value === undefined && rules.problem === undefined && <Waiting what="rules" />}
      {rules.value?.rules.length === 0 && (
        <Empty title="There are no rules">
          <p>Grants alone decide. A rule can deny a token, narrow its scopes or add claims; try one below.</p>
        </Empty>
      )}
      {(rules.value?.rules.length ?? 0) > 0 && (
        <Table
          label="Rules"
          rows={rules.value?.rules ?? []}
          keyOf={({ name }) => name}
          columns={[
            { name: 'name', head: 'Rule', cell: (rule) => rule.name },
            {
              name: 'state',
              head: 'State',
              cell: (rule) => (
                <>
                  <Badge tone={rule.state === 'active' ? 'good' : 'bad'}>{rule.state}</Badge> {rule.fault}
                </>
              ),
            },
            { name: 'shape', head: 'Shape', cell: (rule) => rule.shape },
            { name: 'bytes', head: 'Size', align: 'end', cell: (rule) => bytes(rule.bytes) },
            { name: 'runs', head: 'Asked', align: 'end', cell: (rule) => number(rule.runs) },
            { name: 'denials', head: 'Denied', align: 'end', cell: (rule) => number(rule.denials) },
            { name: 'failures', head: 'Failed', align: 'end', cell: (rule) => number(rule.failures) },
            {
              name: 'show',
              head: 'Text',
              cell: ({ name }) => (
                <button
                  type="button"
                  class="plain"
                  onClick={() =>
                    void show.run(async () => {
                      const rule = await api.get<{ source: string }>(`${base}/${encodeURIComponent(name)}`)
                      setSource(rule.source)
                    }, `${name} is in the form below.`)
                  }
                >
                  Try {name}
                </button>
              ),
            },
          ]}
        />
      )}
      <TryRule source={source} setSource={setSource} />
    </div>
  )
}

function TryRule({ source, setSource }: { source: string; setSource: (source: string) => void }) {
  const { api } = useApp()
  const doing = useDoing()
  const [oauthClientId, setClient] = useState('operator')
  const [audience, setAudience] = useState('urn:lotwatch:ingest')
  const [answer, setAnswer] = useState<RuleTestAnswer>()
  const attempt = async (event: Event) => {
    event.preventDefault()
    await doing.run(async () => {
      const body = { source, oauthClientId, ...(audience === '' ? {} : { audience }) }
      setAnswer(await api.post<RuleTestAnswer>(`${base}/test`, { body }))
    })
  }
  return (
    <form class="panel stack" onSubmit={attempt}>
      <h2>Try a rule</h2>
      <Field label="Its text">
        <textarea
          class="mono"
          rows={8}
          spellcheck={false}
          required
          value={source}
          onInput={(event) => setSource(event.currentTarget.value)}
        />
      </Field>
      <div class="two">
        <Field label="Who would ask">
          <input required value={oauthClientId} onInput={(event) => setClient(event.currentTarget.value)} />
        </Field>
        <Field label="For which audience">
          <input value={audience} onInput={(event) => setAudience(event.currentTarget.value)} />
        </Field>
      </div>
      <Fault problem={doing.problem} />
      <div class="row">
        <button type="submit" class="main" disabled={doing.isBusy}>
          Try it
        </button>
      </div>
      {answer !== undefined && (
        <div class="stack tight" role="status">
          <p>
            <Badge tone={answer.outcome === 'allowed' ? 'good' : 'bad'}>{answer.outcome}</Badge>{' '}
            {answer.reason}
          </p>
          <dl class="facts">
            <dt>Scopes before</dt>
            <dd>{answer.granted.join(' ') || 'none'}</dd>
            <dt>Scopes after</dt>
            <dd>{answer.scopes.join(' ') || 'none'}</dd>
            <dt>Claims added</dt>
            <dd>
              <code>{JSON.stringify(answer.claims)}</code>
            </dd>
            {answer.told !== undefined && (
              <>
                <dt>The client is told</dt>
                <dd>{answer.told}</dd>
              </>
            )}
          </dl>
          {answer.console.length > 0 && <pre>{answer.console.join('\n')}</pre>}
        </div>
      )}
    </form>
  )
}
