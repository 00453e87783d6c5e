/** The keys that sign tokens, and how to make the next ones. */
import { useState } from 'preact/hooks'
import { mayAs, useApp } from '../../app-state.ts'
import { useLoad, useNow } from '../../load.ts'
import { Confirm } from '../../parts/dialog.tsx'
import { Badge, Fault } from '../../parts/notices.tsx'
import { Table } from '../../parts/table.tsx'
import { dateTime } from '../../words.ts'
import type { SigningKey, Status } from './status.ts'

export function SigningKeys() {
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
